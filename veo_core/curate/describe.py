"""Describe: say what each clip shows, from its key frames, in one request a clip."""

from pydantic import Field

from veo_core.curate.decisions import Ledger, publish_clips, read_clips
from veo_core.curate.judging import Text, ask_about, judge_version, key_frame_question
from veo_core.judges.client import JudgeConfig
from veo_core.records.base import Record
from veo_core.records.clip import Description
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main

PROMPT = (
    "These pictures are frames of one video clip, in time order. Describe what the clip shows: each object "
    "with its colour and shape, how it moves, and the setting. State only what can be seen."
)


class DescribeConfig(Record):
    """What is asked, and of whom."""

    prompt: str = Field(default=PROMPT, description="the text of each request")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model and patience")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


class DescriptionAnswer(Record):
    """What the judge answers."""

    description: Text
    objects: list[str]
    setting: str


def run(*, clips: Manifest, config: DescribeConfig, context: Context) -> Manifest:
    """Every clip that was described, with its description."""
    items = read_clips(clips, context.store)
    ledger = Ledger(context.stage)
    answered = ask_about(
        items,
        lambda clip: key_frame_question(clip, config.prompt, context.store),
        answer=DescriptionAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
        ledger=ledger,
    )
    described = []
    for clip, given in answered:
        description = Description(
            text=" ".join(given.answer.description.split()),
            objects=given.answer.objects,
            setting=given.answer.setting,
            judge=config.judge.model,
            judge_version=judge_version(given.version, config.prompt, DescriptionAnswer),
        )
        described.append(clip.model_copy(update={"description": description}))
        ledger.decide(clip, "kept", judge=description.judge, judge_version=description.judge_version)
    return publish_clips(
        ledger,
        described,
        store=context.store,
        config=config,
        received=len(items),
        forward=clips.tables,
    )


if __name__ == "__main__":
    stage_main(run)
