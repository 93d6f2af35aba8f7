"""Packaged datasets of tiny clips, made by the pipeline's own encoder and shard writer."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from veo_core.curate.shards import shard_writer
from veo_core.media.encode import encode
from veo_core.records.clip import Annotation, Clip, MediaFacts, Signals, Source
from veo_core.records.dataset import Shard
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store

ONSET = 0.5


def context(store: Store, stage: str, key: str = "k", workers: int = 1) -> Context:
    return Context(stage=stage, store=store, seed=0, key=key, workers=workers)


def film(number: int, width: int, height: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey level of its own in a bright frame of 2 pixels, with a click after `ONSET` seconds."""
    pictures = np.full((frames, height, width, 3), 40 + 10 * (number % 16), np.uint8)
    pictures[:, :2], pictures[:, -2:], pictures[:, :, :2], pictures[:, :, -2:] = (255,) * 4
    sound = np.zeros((1, int(48_000 * (frames - 1) / 8)), np.float32)
    time = np.arange(4_800) / 48_000
    start = int(ONSET * 48_000)
    sound[0, start : start + 4_800] = 0.5 * np.sin(2 * np.pi * 900 * time) * np.exp(-time / 0.05)
    return pictures, sound


def clip_of(store: Store, number: int, width: int, height: int, frames: int) -> Clip:
    pictures, sound = film(number, width, height, frames)
    buffer = io.BytesIO()
    encode(buffer, pictures, fps=8.0, audio=sound)
    media = store.put_bytes(buffer.getvalue(), ".mp4")
    seconds = (frames - 1) / 8
    return Clip(
        clip_id=media.sha256,
        source=Source(source_id=f"s{number}", name=f"{number}.mp4", file=media, origin="folder"),
        shot=0,
        start=0.0,
        media=media,
        facts=MediaFacts(
            width=width,
            height=height,
            fps=8.0,
            frames=frames,
            seconds=seconds,
            audio_rate=48_000,
            audio_seconds=seconds,
        ),
        signals=Signals(motion=1, sharpness=1, luma=30, contrast=10, text=0, bars=0, loudness=-20, clipped=0),
        packet_hash="",
        frame_hashes=[],
        key_frames=[store.put_bytes(b"jpeg", ".jpg")],
        annotation=Annotation(
            caption=f"clip {number}, größer",
            short_caption=f"clip {number}",
            sound="a click",
            judge="test",
            judge_version="1",
        ),
    )


def pack(store: Store, clips: Sequence[tuple[str, Clip]], clips_per_shard: int = 4) -> Manifest:
    """A dataset of clips, each with its split; its bucket is its shape."""
    with shard_writer(store, clips_per_shard) as writer:
        placed = []
        for split, clip in sorted(clips, key=lambda entry: entry[1].clip_id):
            facts = clip.facts
            placed.append(writer.add(split, f"{facts.width}x{facts.height}x{facts.frames}", clip))
        shards = writer.finish()
    tables = {"clips": store.put_table(placed, Clip), "shards": store.put_table(shards, Shard)}
    return Manifest(stage="package", config_digest="", rows=len(placed), tables=tables)


def damage(store: Store, path: str) -> None:
    """Change one byte of an object and leave its length."""
    file = Path(store.root) / path
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
