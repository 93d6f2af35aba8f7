"""Clips in memory as files and as the records that the pipeline's stages hand on."""

import io

from benchmarks.degrade import Footage
from veo_core.media.encode import encode
from veo_core.records.clip import Clip, MediaFacts, Signals, Source, Split
from veo_core.records.generated import GeneratedClip
from veo_core.storage import Store


def file_of(clip: Footage, crf: int = 18) -> bytes:
    """The clip as an MP4 file."""
    sink = io.BytesIO()
    encode(sink, clip.frames, fps=clip.fps, audio=clip.sound[None], audio_rate=clip.rate, crf=crf)
    return sink.getvalue()


def generated_clip(clip: Footage, seed: int, store: Store) -> GeneratedClip:
    """The clip as one that a model made for its prompt."""
    media = store.put_bytes(file_of(clip), ".mp4")
    frames, height, width = clip.frames.shape[:3]
    return GeneratedClip(
        clip_id=media.sha256,
        prompt=clip.prompt,
        split="seen",
        mode="t2v",
        seed=seed,
        media=media,
        width=width,
        height=height,
        fps=clip.fps,
        frames=frames,
        seconds=(frames - 1) / clip.fps,
        audio_rate=clip.rate,
    )


def real_clip(clip: Footage, split: Split, store: Store) -> Clip:
    """The clip as one of a dataset; its signals are of no footage."""
    media = store.put_bytes(file_of(clip), ".mp4")
    frames, height, width = clip.frames.shape[:3]
    return Clip(
        clip_id=media.sha256,
        source=Source(source_id=media.sha256, name="a.mp4", file=media, origin="world", caption=clip.prompt),
        shot=0,
        start=0.0,
        media=media,
        facts=MediaFacts(
            width=width,
            height=height,
            fps=clip.fps,
            frames=frames,
            seconds=(frames - 1) / clip.fps,
            audio_rate=clip.rate,
            audio_seconds=len(clip.sound) / clip.rate,
        ),
        signals=Signals(
            motion=1.0,
            sharpness=1.0,
            luma=50.0,
            contrast=20.0,
            text=0.0,
            bars=0.0,
            loudness=-20.0,
            clipped=0.0,
        ),
        packet_hash="0" * 64,
        frame_hashes=[],
        key_frames=[],
        split=split,
    )
