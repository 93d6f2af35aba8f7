"""Training clips as arrays, read from the packaged dataset."""

import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.media.decode import decode, frames_at
from veo_core.progress import track
from veo_core.records.clip import Clip
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


@dataclass(frozen=True)
class Sample:
    """One packaged clip: its MP4 bytes with what belongs to it."""

    clip_id: str
    caption: str
    short_caption: str
    split: str
    media: bytes


@dataclass(frozen=True)
class ClipArrays:
    """Decoded clips, in the order of their samples.

    video: uint8 [n, 3, t, h, w]. audio: float32 [n, samples] in [-1, 1].
    """

    video: npt.NDArray[np.uint8]
    audio: npt.NDArray[np.float32]


def read_samples(dataset: Manifest, store: Store) -> dict[str, list[Sample]]:
    """The packaged clips by split, "train" and "validation", each sorted by clip id.

    Clips come from the shards; those that the table lists and no shard holds come from their own files.

    Raises:
        UsageError: the dataset has no clip to train on.
    """
    found: dict[str, Sample] = {}
    for shard in dataset.shards:
        for sample in _read_shard(store.get_bytes(shard)):
            found[sample.clip_id] = sample
    for clip in store.get_table(dataset.tables["clips"], Clip):
        if clip.clip_id not in found and clip.split and clip.annotation:
            note = clip.annotation
            media = store.get_bytes(clip.media)
            found[clip.clip_id] = Sample(clip.clip_id, note.caption, note.short_caption, clip.split, media)
    splits: dict[str, list[Sample]] = {"train": [], "validation": []}
    for clip_id in sorted(found):
        splits[found[clip_id].split].append(found[clip_id])
    for name, samples in splits.items():
        if not samples:
            raise UsageError(f"dataset: its {name} split is empty; package more clips")
    return splits


def _read_shard(data: bytes) -> list[Sample]:
    members: dict[str, dict[str, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                key, _, kind = member.name.rpartition(".")
                members.setdefault(key, {})[kind] = stream.read()
    samples = []
    for parts in members.values():
        facts = json.loads(parts["json"])
        texts = {name: facts[name] for name in ("clip_id", "caption", "short_caption", "split")}
        samples.append(Sample(**texts, media=parts["mp4"]))
    return samples


def decode_samples(samples: list[Sample], spec: ClipSpec) -> ClipArrays:
    """Decode clips to the size, rate and length of `spec`.

    In one thread: such short clips are mostly Python's work, and threads only wait for its lock.

    Raises:
        ItemError: a file cannot be decoded.
    """
    video = np.empty((len(samples), 3, spec.frames, spec.height, spec.width), np.uint8)
    audio = np.zeros((len(samples), spec.samples), np.float32)

    size = (spec.height, spec.width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        for index, sample in enumerate(track(samples, total=len(samples), label="decode", unit="clips")):
            path.write_bytes(sample.media)
            decoded = decode(path, size=size, audio_rate=spec.audio_rate, mono=True)
            shown = decoded.frames[frames_at(decoded, spec.fps, spec.frames)]
            video[index] = shown.transpose(3, 0, 1, 2)
            if decoded.audio is not None:
                sound = decoded.audio[0, : spec.samples]
                audio[index, : len(sound)] = sound
    return ClipArrays(video, audio)


def shrink(video: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Area-downscale pictures: uint8 [n, c, t, h, w] to [n, c, t, h / factor, w / factor]."""
    n, c, t, h, w = video.shape
    cells = video.reshape(n, c, t, h // factor, factor, w // factor, factor)
    means: npt.NDArray[np.float32] = cells.mean((4, 6), dtype=np.float32)
    return (means + 0.5).astype(np.uint8)
