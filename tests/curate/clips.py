"""Prepared clips with real media, made without the stages that come before."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from veo_core.media.encode import encode
from veo_core.media.verify import verify
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip, ClipSignature, Signals, Source
from veo_core.records.manifest import Manifest

FPS, FRAMES, HEIGHT, WIDTH, RATE = 16, 33, 128, 192, 48_000
GOOD = Signals(
    motion=3.0, sharpness=0.9, luma=110.0, contrast=50.0, text=0.0, bars=0.0, loudness=-20.0, lufs=-22.0,
    clipped=0.0,
)  # fmt: skip


def scene(seed):
    """Drifting blobs of many sizes, uint8 [t, h, w, 3]; and a tone with noise, float32 [1, l]."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n, 3)), (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
        / n**0.5
        for n in (8, 16, 32, 64)
    ]
    large = cv2.normalize(sum(layers), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    frames = np.stack([large[20 : 20 + HEIGHT, t : t + WIDTH] for t in range(FRAMES)])
    length = round(FRAMES / FPS * RATE)
    sound = 0.2 * np.sin(0.05 * np.arange(length)) + 0.01 * rng.standard_normal(length)
    return frames, sound[None].astype(np.float32)


def clip_of(store, number, *, signals=GOOD, frames=None, **encoding):
    """A clip with four key frames, as prepare would give it; of the scene of that number, or of `frames`."""
    shown, sound = scene(number)
    frames = shown if frames is None else frames
    source_id = sha256_bytes(f"source {number}".encode())
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "clip.mp4"
        encode(path, frames, fps=FPS, audio=sound, **encoding)
        media, facts = store.put_file(path), verify(path, fps=FPS, frames=FRAMES, made_by="transcode")
    key_frames = []
    for index in np.linspace(0, FRAMES - 1, 4).round().astype(int):
        _, data = cv2.imencode(".jpg", frames[index][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        key_frames.append(store.put_bytes(data.tobytes(), ".jpg"))
    return Clip(
        clip_id=sha256_bytes(f"{source_id}/0".encode()),
        source=Source(source_id=source_id, name=f"{number}.mp4", file=media, origin="test"),
        shot=0,
        start=0.0,
        media=media,
        facts=facts,
        signals=signals,
        packet_hash=media.sha256,
        frame_hashes=[f"{number:016x}"] * 5,
        key_frames=key_frames,
    )


def prepared(store, clips):
    """The manifest of a stage that kept `clips`."""
    rows = sorted(clips, key=lambda clip: clip.clip_id)
    signatures = [ClipSignature(clip_id=clip.clip_id, signature="", seconds=1.0) for clip in rows]
    tables = {"clips": store.put_table(rows, Clip), "signatures": store.put_table(signatures, ClipSignature)}
    return Manifest(stage="test", config_digest="", rows=len(rows), tables=tables)
