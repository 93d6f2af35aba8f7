"""Quality filter: drop clips by measured signals first, then by a judge where nothing can be measured.

People, plates and the like become flags on the clip, each with a policy: keep, blur, or drop.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pydantic import Field

from veo_core.curate.content_policy import (
    JUDGED_RULES,
    ContentAnswer,
    ContentRuling,
    FlagPolicies,
    JudgedRule,
    rule_on_content,
)
from veo_core.curate.decisions import ClipTable, ClipWriter
from veo_core.curate.judging import (
    ask_about,
    judge_metrics,
    judge_version,
    key_frame_question,
    record_unanswered,
)
from veo_core.curate.note import VIEWS
from veo_core.curate.redact import Redacted, Redaction, redact_all
from veo_core.curate.signal_rules import SIGNAL_RULES, SignalRule, Thresholds, broken_rule
from veo_core.curate.skipped import keep_all
from veo_core.judges.answers import Answers
from veo_core.judges.config import JudgeConfig
from veo_core.judges.evidence import Question
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Clip, Flag
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main

PROMPT = (
    "These {pictures} pictures are frames of one video clip, in time order, meant for training a video "
    "generator. Say whether they show: text that was laid over the picture, such as subtitles or a time "
    "stamp, not text of the scene itself; a watermark or a logo that was laid over it; a minor; a famous "
    "person; a face that could be recognised; a readable number plate; a readable document; a screen that "
    "is on. In `regions` box each minor, famous person, face, plate, document and screen in each picture "
    "that shows it: `frame` is the picture's number from 0 on, x0, y0, x1, y1 the box's left, top, right and "
    "bottom edge as shares of the width and height, from 0 to 1. Say whether the clip is acceptable: a real, "
    "natural scene without overlays or borders. Give the reason in one sentence."
)


class QualityFilterConfig(Record):
    """Rules, limits and policies; what is asked, and of whom."""

    enabled: bool = Field(default=True, description="off: every clip is kept unseen")
    rules: tuple[SignalRule | JudgedRule, ...] = Field(
        default=SIGNAL_RULES + JUDGED_RULES,
        description="the rules that apply; leave one out to switch it off",
    )
    thresholds: Thresholds = Field(default_factory=Thresholds, description="limits of measured signals")
    ask: bool = Field(default=True, description="off: signals alone decide; no judge, no flags")
    policies: FlagPolicies = Field(
        default_factory=FlagPolicies, description="keep, blur or drop what shows people, plates and the like"
    )
    blur_padding: float = Field(
        default=0.2, ge=0, le=2, description="margin of a blur, as a share of its box"
    )
    blur_crf: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="constant rate factor of blurred clips; the codec's own if null",
    )
    prompt: str = Field(default=PROMPT, description="the text of each request, with {pictures} to fill in")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model, patience and budget")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


def run(*, clips: Manifest, config: QualityFilterConfig, context: Context) -> Manifest:
    """The clips that are good enough to train on, blurred where a policy demands it."""
    table = ClipTable(clips, context.store)
    if not config.enabled:
        return keep_all(table, config=config, context=context)
    answers = ask_about(
        table,
        partial(_question, config=config, context=context),
        answer=ContentAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
    )
    blurred = _blurred(table, answers, config, context)
    following = next(blurred, None)
    with ClipWriter(table, config=config, context=context) as out:
        for clip in table:
            redacted = None
            if following is not None and following.clip_id == clip.clip_id:
                redacted, following = following, next(blurred, None)
            _decide(out, clip, answers, redacted, config)
    return out.manifest(
        max_failed_share=config.max_failed_share, metrics=judge_metrics(answers, config.judge)
    )


def _question(clip: Clip, config: QualityFilterConfig, context: Context) -> Question | None:
    """What to ask about a clip; nothing where its signals condemn it."""
    if not config.ask or broken_rule(clip.signals, config.thresholds, config.rules):
        return None
    prompt = config.prompt.replace("{pictures}", str(len(clip.key_frames)))
    return key_frame_question(clip, prompt, context.store)


def _ruling(clip: Clip, answers: Answers[ContentAnswer], config: QualityFilterConfig) -> ContentRuling | None:
    """What is to be done with a clip about which a judge gave an answer."""
    if clip.clip_id not in answers:
        return None
    given = answers[clip.clip_id].answered
    if given is None:
        return None
    return rule_on_content(given.answer, config.rules, config.policies, len(clip.key_frames))


def _blurred(
    table: ClipTable, answers: Answers[ContentAnswer], config: QualityFilterConfig, context: Context
) -> Iterator[Redacted]:
    """The clips that a policy has blurred, in the order of their ids."""
    wanted = []
    for clip in table:
        ruling = _ruling(clip, answers, config)
        if ruling is not None and ruling.verdict == "kept" and ruling.to_blur:
            wanted.append(Redaction.of(clip, ruling.to_blur, config.blur_padding, config.blur_crf).to_bytes())
    rows = context.map_shards(
        wanted,
        partial(redact_all, store=context.store),
        identity=sha256_bytes,
        result=Redacted,
        shard_size=16,
    )
    return rows.sorted_by("clip_id")


def _decide(
    out: ClipWriter,
    clip: Clip,
    answers: Answers[ContentAnswer],
    redacted: Redacted | None,
    config: QualityFilterConfig,
) -> None:
    broken = broken_rule(clip.signals, config.thresholds, config.rules)
    if broken is not None:
        out.drop(clip, broken.rule, value=broken.value, threshold=broken.threshold)
        return
    if not config.ask:
        out.keep(clip)
        return
    outcome = answers[clip.clip_id]
    ruling = _ruling(clip, answers, config)
    if outcome.answered is None or ruling is None:
        record_unanswered(out, clip, outcome, config.judge)
        return
    details: dict[str, Any] = {
        "judge": config.judge.model,
        "judge_version": judge_version(outcome.answered.version, config.prompt, ContentAnswer),
    }
    flagged = clip.model_copy(update={"flags": list(ruling.flags)})
    if redacted is not None and redacted.rule:
        out.fail(clip, redacted.rule, evidence=redacted.evidence, **details)
    elif redacted is not None:
        out.keep(redacted.applied_to(flagged), ruling.rule, evidence=_boxes(ruling.to_blur), **details)
    elif ruling.verdict == "kept":
        out.keep(flagged, evidence=", ".join(flag.kind for flag in ruling.flags), **details)
    elif ruling.verdict == "dropped":
        out.drop(clip, ruling.rule, evidence=outcome.answered.answer.reason, **details)
    else:
        out.quarantine(clip, ruling.rule, evidence=outcome.answered.answer.reason, **details)


def _boxes(flags: tuple[Flag, ...]) -> str:
    return canonical_json([flag.model_dump(mode="json") for flag in flags]).decode()


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
