"""Annotate: captions for training, from each clip's frames with its sound or from the clip itself."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from veo_core.curate.captions import clean_caption
from veo_core.curate.claims import ClaimLimits, Contradiction, contradiction
from veo_core.curate.clip_evidence import ClipEvidence
from veo_core.curate.decisions import ClipTable, ClipWriter
from veo_core.curate.judging import Text, ask_about, judge_metrics, judge_version, record_unanswered
from veo_core.curate.note import VIEWS
from veo_core.curate.privacy import scrub
from veo_core.curate.skipped import keep_all
from veo_core.judges.client import Answered
from veo_core.judges.config import JudgeConfig
from veo_core.judges.evidence import Question
from veo_core.records.base import Record
from veo_core.records.clip import Annotation, Clip
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main

Kind = Literal["frames", "sound", "video"]

PROMPT = (
    "{evidence} Write a caption of one or two sentences that says what is seen{heard}, and a short caption "
    "of a few words. Give the subject, its action, the setting, the camera's framing and motion, and the "
    "style, in a few words each. {sound} State only what can be seen{heard}; do not invent instruments, "
    "voices or text. Begin with the scene itself, not with 'The video shows'. Name no person; where you "
    "cannot help it, list the name under names."
)
CORRECTION = (
    "\nAn earlier answer said {claim!r}, but it is measured that {fact}. Answer again without that claim."
)
_FRAMES = "These pictures are frames of one video clip, in time order, evenly spaced over {seconds} s"
_SHOWN = {
    ("frames",): f"{_FRAMES}.",
    ("frames", "sound"): f"{_FRAMES}, and this is its sound.",
    ("video",): "This is a video clip of {seconds} s.",
    ("sound", "video"): "This is a video clip of {seconds} s, and this is its sound.",
}
_HEARD = "Say what is heard alone ('none' if nothing is), and list the sound events."
_UNHEARD = "The sound is not given: answer 'none' for it."


class AnnotateConfig(Record):
    """What is shown to the judge, what is asked, and of whom."""

    enabled: bool = Field(default=True, description="off: every clip is kept without captions")
    prompt: str = Field(
        default=PROMPT, description="request; {evidence}, {heard}, {sound} and {seconds} are filled in"
    )
    evidence: list[Kind] = Field(
        default=["frames", "sound"],
        description="what the model takes: frames or the video itself, and the sound as WAV besides",
    )
    video_has_sound: bool = Field(
        default=False, description="whether the model hears the video's own sound, as Gemini does"
    )
    frames: int = Field(default=9, ge=1, description="pictures per request, spread over the clip")
    frame_side: int = Field(default=768, ge=16, description="longest side of those pictures, pixels")
    audio_rate: int = Field(default=16_000, gt=0, description="samples of sound per second in the request")
    claims: ClaimLimits = Field(
        default_factory=ClaimLimits, description="measured figures that claims must not contradict"
    )
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model, patience and budget")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")

    @model_validator(mode="after")
    def _known_evidence(self) -> Self:
        if tuple(sorted(set(self.evidence))) not in _SHOWN:
            raise ValueError("evidence: give either frames or video, and sound besides if the model takes it")
        return self

    @property
    def heard(self) -> bool:
        """Whether the judge hears the clip."""
        return "sound" in self.evidence or ("video" in self.evidence and self.video_has_sound)


class AnnotationAnswer(Record):
    """What the judge answers."""

    caption: Text
    short_caption: Text
    sound: str = ""
    subject: str = ""
    action: str = ""
    setting: str = ""
    camera: str = ""
    style: str = ""
    sound_events: list[str] = Field(default_factory=list)
    names: list[str] = Field(default_factory=list, description="names of persons in the answer")


def run(*, clips: Manifest, config: AnnotateConfig, context: Context) -> Manifest:
    """Every clip with captions that can be trusted."""
    table = ClipTable(clips, context.store)
    if not config.enabled:
        return keep_all(table, config=config, context=context)
    evidence = ClipEvidence(
        context.store,
        list(config.evidence),
        frames=config.frames,
        frame_side=config.frame_side,
        audio_rate=config.audio_rate,
        workers=context.workers,
    )
    answers = ask_about(
        table,
        lambda clip: _question(clip, config, evidence),
        answer=AnnotationAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
    )
    with ClipWriter(table, config=config, context=context) as out:
        for clip in table:
            outcome = answers[clip.clip_id]
            if outcome.answered is None:
                record_unanswered(out, clip, outcome, config.judge)
            else:
                _decide(out, clip, outcome.answered, config)
    return out.manifest(
        max_failed_share=config.max_failed_share, metrics=judge_metrics(answers, config.judge)
    )


def _decide(
    out: ClipWriter, clip: Clip, answered: Answered[AnnotationAnswer], config: AnnotateConfig
) -> None:
    """Keep a clip with its captions, or quarantine it for a claim that its measurements contradict."""
    judged = {
        "judge": config.judge.model,
        "judge_version": judge_version(answered.version, config.prompt, AnnotationAnswer),
    }
    wrong = _contradiction(clip, answered.answer, config)
    if wrong is not None:
        out.quarantine(
            clip,
            wrong.rule,
            value=wrong.value,
            threshold=wrong.threshold,
            evidence=scrub(wrong.claim, answered.answer.names),
            **judged,
        )
        return
    annotation = Annotation(**_cleaned(answered.answer, heard=config.heard), **judged)
    out.keep(clip.model_copy(update={"annotation": annotation}), **judged)


def _question(clip: Clip, config: AnnotateConfig, evidence: ClipEvidence) -> Question:
    """What is asked about a clip; where its answer contradicts what is measured, it is asked once more."""
    shown = _SHOWN[tuple(sorted(set(config.evidence)))]
    prompt = config.prompt
    for name, text in (
        ("evidence", shown),
        ("heard", " and heard" if config.heard else ""),
        ("sound", _HEARD if config.heard else _UNHEARD),
        ("seconds", f"{clip.facts.seconds:.3g}"),
    ):
        prompt = prompt.replace(f"{{{name}}}", text)
    content = (clip.media.sha256, evidence.identity)

    def review(answer: AnnotationAnswer) -> Question | None:
        wrong = _contradiction(clip, answer, config)
        if wrong is None:
            return None
        correction = CORRECTION.format(claim=wrong.claim, fact=wrong.fact)
        return Question(prompt + correction, content, lambda: evidence(clip))

    return Question(prompt, content, lambda: evidence(clip), review)


def _contradiction(clip: Clip, answer: AnnotationAnswer, config: AnnotateConfig) -> Contradiction | None:
    captions = [answer.caption, answer.short_caption, answer.action, *answer.sound_events]
    sound = answer.sound if config.heard else None
    return contradiction(captions, sound, clip.signals, config.claims)


def _cleaned(answer: AnnotationAnswer, *, heard: bool) -> dict[str, Any]:
    """The answer's texts without openings and personal data. What a deaf judge says of sound is left out."""

    def clean(text: str) -> str:
        return scrub(clean_caption(text), answer.names)

    return {
        "caption": clean(answer.caption),
        "short_caption": clean(answer.short_caption),
        "sound": clean(answer.sound) if heard else "",
        "subject": clean(answer.subject),
        "action": clean(answer.action),
        "setting": clean(answer.setting),
        "camera": clean(answer.camera),
        "style": clean(answer.style),
        "sound_events": [clean(event) for event in answer.sound_events] if heard else [],
    }


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
