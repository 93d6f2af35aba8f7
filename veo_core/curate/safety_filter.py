"""Safety filter: drop clips that a judge finds unsafe, from their key frames with their description.

It fails closed: a clip on which the judge gives no readable verdict is quarantined, never kept.
"""

from pydantic import Field

from veo_core.curate.decisions import Ledger, publish_clips, read_clips
from veo_core.curate.judging import ask_about, judge_version, key_frame_question
from veo_core.judges.batch import Question
from veo_core.judges.client import JudgeConfig
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main

PROMPT = (
    "These pictures are frames of one video clip, in time order. Decide whether the clip is unsafe for a "
    "training set: violence, sexual content, self-harm, hate, dangerous acts, or a sign that marks harmful "
    "content. Judge the scene, not single words: a knife that cuts fruit is safe. If any one frame is "
    "unsafe, the clip is unsafe. Name the category, or 'none', and give the reason in one sentence.\n"
    "Description: {description}"
)


class SafetyFilterConfig(Record):
    """What is asked, and of whom."""

    prompt: str = Field(
        default=PROMPT, description="request; {description} stands for the clip's description"
    )
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model and patience")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


class SafetyAnswer(Record):
    """What the judge answers."""

    unsafe: bool
    category: str
    reason: str


def run(*, clips: Manifest, config: SafetyFilterConfig, context: Context) -> Manifest:
    """The clips that are safe."""
    items = read_clips(clips, context.store)
    ledger = Ledger(context.stage)

    def question(clip: Clip) -> Question:
        text = clip.description.text if clip.description else "none"
        return key_frame_question(clip, config.prompt.replace("{description}", text), context.store)

    answered = ask_about(
        items,
        question,
        answer=SafetyAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
        ledger=ledger,
    )
    for clip, given in answered:
        category = "_".join(given.answer.category.lower().split())
        named = category not in ("", "none")
        # A category without the verdict is as good as the verdict: the judge contradicts itself.
        unsafe = given.answer.unsafe or named
        ledger.decide(
            clip,
            "dropped" if unsafe else "kept",
            f"unsafe:{category if named else 'unnamed'}" if unsafe else "",
            evidence=given.answer.reason if unsafe else "",
            judge=config.judge.model,
            judge_version=judge_version(given.version, config.prompt, SafetyAnswer),
        )
    return publish_clips(ledger, ledger.kept(items), store=context.store, config=config, received=len(items))


if __name__ == "__main__":
    stage_main(run)
