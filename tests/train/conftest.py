"""A packaged dataset of a few tiny clips, and the models that the stages train on it."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from veo_core.media.encode import encode
from veo_core.records.clip import Annotation, Clip, MediaFacts, Signals, Source
from veo_core.records.dataset import Shard
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store

SPEC = {"frames": 9, "height": 32, "width": 32}
BUCKET = "32x32x9"
FIT = {"steps": 4, "batch": 4, "log_every": 2, "warmup": 1}


def context(store: Store, stage: str, key: str = "k", seed: int = 0) -> Context:
    return Context(stage=stage, store=store, seed=seed, key=key, workers=2)


def film(index: int) -> tuple[np.ndarray, np.ndarray, str]:
    """A square that moves left or right, with a click: uint8 [9, 32, 32, 3], float32 [1, 48000], caption."""
    colour = {"red": (230, 60, 50), "blue": (60, 110, 240)}
    name = list(colour)[index % 2]
    direction = ("left", "right")[index // 2 % 2]
    frames = np.full((9, 32, 32, 3), 30, np.uint8)
    for number, frame in enumerate(frames):
        x = 2 * number if direction == "right" else 16 - 2 * number
        frame[4 + index : 16 + index, 2 + x : 14 + x] = colour[name]
    audio = np.zeros((1, 48_000), np.float32)
    time = np.arange(4_800) / 48_000
    audio[0, 24_000:28_800] = 0.5 * np.sin(2 * np.pi * 900 * time) * np.exp(-time / 0.05)
    return frames, audio, f"a {name} square moving {direction}"


def clip_of(store: Store, index: int, split: str) -> tuple[Clip, bytes]:
    frames, audio, caption = film(index)
    buffer = io.BytesIO()
    encode(buffer, frames, fps=8.0, audio=audio)
    media = store.put_bytes(buffer.getvalue(), ".mp4")
    clip = Clip(
        clip_id=media.sha256,
        source=Source(source_id=f"s{index}", name=f"{index}.mp4", file=media, origin="folder"),
        shot=0,
        start=0.0,
        media=media,
        facts=MediaFacts(
            width=32, height=32, fps=8.0, frames=9, seconds=1.0, audio_rate=48_000, audio_seconds=1.0
        ),
        signals=Signals(motion=1, sharpness=1, luma=30, contrast=10, text=0, bars=0, loudness=-20, clipped=0),
        packet_hash="",
        frame_hashes=[],
        key_frames=[],
        annotation=Annotation(
            caption=caption, short_caption=caption, sound="", judge="test", judge_version="1"
        ),
        split=split,
        bucket=BUCKET,
    )
    return clip, buffer.getvalue()


def shard(clips: list[tuple[Clip, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for clip, media in clips:
            note = clip.annotation
            facts = {
                "clip_id": clip.clip_id,
                "caption": note.caption,
                "short_caption": note.short_caption,
                "split": clip.split,
                "facts": clip.facts.model_dump(mode="json"),
            }
            for kind, data in (("mp4", media), ("json", json.dumps(facts).encode())):
                member = tarfile.TarInfo(f"{clip.clip_id}.{kind}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(Path(tmp_path_factory.mktemp("store"))))


@pytest.fixture(scope="session")
def dataset(store: Store) -> Manifest:
    train = [clip_of(store, index, "train") for index in range(6)]
    held = [clip_of(store, index, "validation") for index in range(6, 8)]
    rows = sorted((clip for clip, _ in train + held), key=lambda clip: clip.clip_id)
    packed = [("train", train[:3]), ("train", train[3:]), ("validation", held)]
    shards = [
        Shard(
            name=f"{split}-{BUCKET}-{number:06d}.tar",
            split=split,
            bucket=BUCKET,
            clips=len(clips),
            file=store.put_bytes(shard(clips), ".tar"),
        )
        for number, (split, clips) in enumerate(packed)
    ]
    return Manifest(
        stage="package",
        config_digest="",
        rows=len(rows),
        tables={"clips": store.put_table(rows, Clip), "shards": store.put_table(shards, Shard)},
    )


@pytest.fixture(scope="session")
def trained(store: Store, dataset: Manifest) -> dict[str, Manifest]:
    """Manifests of every training stage at a tiny size, by the name of their input."""
    from veo_core.train import audio_vae, base, encode_latents, upsampler, video_vae

    tiny = {**FIT, "clip_spec": SPEC, "model": {"width": 16, "depth": 1}}
    made = {
        "video_vae": video_vae.run(
            dataset=dataset,
            config=video_vae.VideoVAETraining.model_validate(tiny),
            context=context(store, "video_vae"),
        ),
        "audio_vae": audio_vae.run(
            dataset=dataset,
            config=audio_vae.AudioVAETraining.model_validate(tiny),
            context=context(store, "audio_vae"),
        ),
    }
    made["latents"] = encode_latents.run(
        dataset=dataset,
        **made,
        config=encode_latents.LatentEncoding.model_validate({"clip_spec": SPEC, "keep_frames": 2}),
        context=context(store, "encode_latents"),
    )
    made["base"] = base.run(
        latents=made["latents"],
        config=base.BaseTraining.model_validate({**FIT, "width": 32, "depth": 1, "heads": 2}),
        context=context(store, "base"),
    )
    made["upsampler"] = upsampler.run(
        latents=made["latents"],
        video_vae=made["video_vae"],
        config=upsampler.UpsamplerTraining.model_validate({**FIT, "width": 16, "depth": 1}),
        context=context(store, "upsampler"),
    )
    return made
