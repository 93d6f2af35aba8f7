"""Annotate: captions for training, from frames across each clip with its sound."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from pydantic import Field

from veo_core.curate.captions import claims_sound, clean_caption
from veo_core.curate.decisions import Ledger, publish_clips, read_clips
from veo_core.curate.judging import Text, ask_about, judge_version
from veo_core.judges.batch import Evidence, Question
from veo_core.judges.client import JudgeConfig
from veo_core.media.decode import decode
from veo_core.media.sound import wav_bytes
from veo_core.records.base import Record
from veo_core.records.clip import Annotation, Clip
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.storage import Store

PROMPT = (
    "These pictures are frames of one video clip, in time order, evenly spaced over {seconds} s, and this is "
    "its sound. Write a caption of one sentence that says what is seen and what is heard, a short caption of "
    "a few words, and what is heard alone ('none' if nothing is). State only what can be seen and heard; do "
    "not invent instruments, voices or text."
)


class AnnotateConfig(Record):
    """What is shown to the judge, what is asked, and of whom."""

    prompt: str = Field(default=PROMPT, description="request; {seconds} stands for the clip's length")
    frames: int = Field(default=9, ge=1, description="pictures per request, spread over the clip")
    audio_rate: int = Field(default=16_000, gt=0, description="samples of sound per second in the request")
    silence: float = Field(default=-55.0, description="dBFS below which a clip counts as silent")
    judge: JudgeConfig = Field(default_factory=JudgeConfig, description="model and patience")
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


class AnnotationAnswer(Record):
    """What the judge answers."""

    caption: Text
    short_caption: Text
    sound: str


def run(*, clips: Manifest, config: AnnotateConfig, context: Context) -> Manifest:
    """Every clip with captions that can be trusted."""
    items = read_clips(clips, context.store)
    ledger = Ledger(context.stage)
    answered = ask_about(
        items,
        lambda clip: _question(clip, config, context.store),
        answer=AnnotationAnswer,
        judge=config.judge,
        max_failed_share=config.max_failed_share,
        context=context,
        ledger=ledger,
    )
    annotated = []
    for clip, given in answered:
        judged = {
            "judge": config.judge.model,
            "judge_version": judge_version(given.version, config.prompt, AnnotationAnswer),
        }
        annotation = Annotation(
            caption=clean_caption(given.answer.caption),
            short_caption=clean_caption(given.answer.short_caption),
            sound=clean_caption(given.answer.sound),
            **judged,
        )
        if clip.signals.loudness < config.silence and claims_sound(annotation.sound):
            ledger.decide(
                clip,
                "quarantined",
                "sound_on_silence",
                value=clip.signals.loudness,
                threshold=config.silence,
                evidence=annotation.sound,
                **judged,
            )
            continue
        annotated.append(clip.model_copy(update={"annotation": annotation}))
        ledger.decide(clip, "kept", **judged)
    return publish_clips(ledger, annotated, store=context.store, config=config, received=len(items))


def _question(clip: Clip, config: AnnotateConfig, store: Store) -> Question:
    shown = f"{config.frames} frames, {config.audio_rate} Hz"
    return Question(
        prompt=config.prompt.replace("{seconds}", f"{clip.facts.seconds:.3g}"),
        content=(clip.media.sha256, shown),
        load=lambda: _evidence(clip, config, store),
    )


def _evidence(clip: Clip, config: AnnotateConfig, store: Store) -> Evidence:
    """Frames spread over the prepared clip, first and last among them, with its sound."""
    with tempfile.TemporaryDirectory() as folder:
        path = store.local_path(clip.media, Path(folder))
        decoded = decode(path, audio_rate=config.audio_rate, mono=True)
    count = len(decoded.frames)
    chosen = np.unique(np.linspace(0, count - 1, min(config.frames, count)).round().astype(int))
    audio = None if decoded.audio is None else wav_bytes(decoded.audio[0], config.audio_rate)
    return Evidence(images=tuple(_jpeg(decoded.frames[index]) for index in chosen), audio=audio)


def _jpeg(picture: np.ndarray) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return bytes(data.tobytes())


if __name__ == "__main__":
    stage_main(run)
