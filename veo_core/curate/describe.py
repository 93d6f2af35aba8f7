"""Describe: say what each clip shows, from its key frames, in one request a clip."""

from pydantic import Field

from veo_core.curate.decisions import ClipTable, ClipWriter
from veo_core.curate.judging import (
    Text,
    ask_about,
    judge_metrics,
    judge_version,
    key_frame_question,
    record_unanswered,
)
from veo_core.curate.note import VIEWS
from veo_core.curate.privacy import scrub
from veo_core.curate.skipped import keep_all
from veo_core.judges.client import Answered
from veo_core.judges.config import JudgeConfig
from veo_core.records.base import Record
from veo_core.records.clip import Description
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main

PROMPT = (
    "These pictures are frames of one video clip, in time order. Describe what the clip shows: each object "
    "with its colour and shape, how it moves, and the setting. Count the people in view, quote the text that "
    "can be read, and say how the camera moves. State only what can be seen; name no person."
)


class DescribeConfig(Record):
    """What is asked, and of whom."""

    enabled: bool = Field(default=True, description="off: every clip is kept without a description")
    prompt: str = Field(default=PROMPT, description="the text of each request")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model, patience and budget")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


class DescriptionAnswer(Record):
    """What the judge answers."""

    description: Text
    objects: list[str] = Field(default_factory=list)
    setting: str = ""
    people: int = Field(default=0, ge=0)
    visible_text: list[str] = Field(default_factory=list)
    camera: str = ""


def run(*, clips: Manifest, config: DescribeConfig, context: Context) -> Manifest:
    """Every clip that was described, with its description."""
    table = ClipTable(clips, context.store)
    if not config.enabled:
        return keep_all(table, config=config, context=context)
    answers = ask_about(
        table,
        lambda clip: key_frame_question(clip, config.prompt, context.store),
        answer=DescriptionAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
    )
    with ClipWriter(table, config=config, context=context) as out:
        for clip in table:
            outcome = answers[clip.clip_id]
            if outcome.answered is None:
                record_unanswered(out, clip, outcome, config.judge)
                continue
            description = _description(outcome.answered, config)
            out.keep(
                clip.model_copy(update={"description": description}),
                judge=description.judge,
                judge_version=description.judge_version,
            )
    return out.manifest(
        max_failed_share=config.max_failed_share, metrics=judge_metrics(answers, config.judge)
    )


def _description(given: Answered[DescriptionAnswer], config: DescribeConfig) -> Description:
    answer = given.answer
    return Description(
        text=scrub(" ".join(answer.description.split())),
        objects=answer.objects,
        setting=answer.setting,
        people=answer.people,
        visible_text=[scrub(text) for text in answer.visible_text],
        camera=answer.camera,
        judge=config.judge.model,
        judge_version=judge_version(given.version, config.prompt, DescriptionAnswer),
    )


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
