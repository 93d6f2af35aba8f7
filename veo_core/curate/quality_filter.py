"""Quality filter: drop clips by measured signals first, then by a judge where nothing can be measured."""

from collections.abc import Callable

from pydantic import Field

from veo_core.curate.decisions import Ledger, publish_clips, read_clips
from veo_core.curate.judging import ask_about, judge_version, key_frame_question
from veo_core.judges.client import JudgeConfig
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Signals
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main

PROMPT = (
    "These pictures are frames of one video clip, in time order, meant for training a video generator. "
    "Say whether they hold a watermark or a logo, and whether the clip is acceptable: a sharp, well lit "
    "picture of a real scene without overlays. Give the reason in one sentence."
)


class Thresholds(Record):
    """Limits of measured signals; a clip beyond one is dropped by the rule named in brackets."""

    min_motion: float = Field(default=0.04, description="mean change of luma between frames [static]")
    min_sharpness: float = Field(default=0.56, description="fine variation, 0 to 1 [blurred]")
    min_luma: float = Field(default=12.0, description="mean luma, 0 to 255 [dark]")
    max_luma: float = Field(default=225.0, description="mean luma, 0 to 255 [bright]")
    max_text: float = Field(default=0.02, description="score of burnt-in text, 0 to 1 [burnt_in_text]")
    min_loudness: float = Field(default=-55.0, description="dBFS [silent]")
    max_clipped: float = Field(default=0.002, description="share of samples at full scale [clipped_sound]")
    max_sync: float = Field(default=0.12, description="seconds of lag either way [out_of_sync]")


class QualityFilterConfig(Record):
    """Limits, what is asked, and of whom."""

    thresholds: Thresholds = Field(default_factory=Thresholds, description="limits of measured signals")
    prompt: str = Field(default=PROMPT, description="the text of each request")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model and patience")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


class QualityAnswer(Record):
    """What the judge answers."""

    watermark_or_logo: bool
    acceptable: bool
    reason: str


def run(*, clips: Manifest, config: QualityFilterConfig, context: Context) -> Manifest:
    """The clips that are good enough to train on."""
    items = read_clips(clips, context.store)
    ledger = Ledger(context.stage)
    measured_good = [clip for clip in items if not _drop_by_signal(clip, config.thresholds, ledger)]
    answered = ask_about(
        measured_good,
        lambda clip: key_frame_question(clip, config.prompt, context.store),
        answer=QualityAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
        ledger=ledger,
    )
    for clip, given in answered:
        if given.answer.watermark_or_logo:
            rule = "watermark_or_logo"
        else:
            rule = "" if given.answer.acceptable else "unacceptable"
        ledger.decide(
            clip,
            "dropped" if rule else "kept",
            rule,
            evidence=given.answer.reason if rule else "",
            judge=config.judge.model,
            judge_version=judge_version(given.version, config.prompt, QualityAnswer),
        )
    return publish_clips(ledger, ledger.kept(items), store=context.store, config=config, received=len(items))


def _drop_by_signal(clip: Clip, limits: Thresholds, ledger: Ledger) -> bool:
    """Whether a measured signal is beyond its limit; the first such rule goes to the ledger."""
    for rule, measure, limit, is_bad in _RULES:
        value, threshold = measure(clip.signals), limit(limits)
        if value is not None and is_bad(value, threshold):
            ledger.decide(clip, "dropped", rule, value=value, threshold=threshold)
            return True
    return False


def _below(value: float, limit: float) -> bool:
    return value < limit


def _above(value: float, limit: float) -> bool:
    return value > limit


def _beyond(value: float, limit: float) -> bool:
    return abs(value) > limit


_Rule = tuple[
    str,
    Callable[[Signals], float | None],
    Callable[[Thresholds], float],
    Callable[[float, float], bool],
]
_RULES: tuple[_Rule, ...] = (
    ("dark", lambda s: s.luma, lambda t: t.min_luma, _below),
    ("bright", lambda s: s.luma, lambda t: t.max_luma, _above),
    ("static", lambda s: s.motion, lambda t: t.min_motion, _below),
    ("blurred", lambda s: s.sharpness, lambda t: t.min_sharpness, _below),
    ("burnt_in_text", lambda s: s.text, lambda t: t.max_text, _above),
    ("silent", lambda s: s.loudness, lambda t: t.min_loudness, _below),
    ("clipped_sound", lambda s: s.clipped, lambda t: t.max_clipped, _above),
    ("out_of_sync", lambda s: s.sync, lambda t: t.max_sync, _beyond),
)


if __name__ == "__main__":
    stage_main(run)
