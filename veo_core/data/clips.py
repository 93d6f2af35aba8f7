"""Training clips as arrays, read from the packaged dataset."""

import io
import json
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.media.decode import decode, frames_at
from veo_core.progress import track
from veo_core.records.clip import Clip
from veo_core.records.dataset import Shard
from veo_core.records.files import FileRef
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
    """The packaged clips of the bucket with the most training clips, by split, each sorted by clip id.

    Clips come from the shards; those that the table lists and no shard holds come from their own files.
    How many clips of other buckets are left out is printed.

    Raises:
        UsageError: the dataset has no clip to train on.
    """
    wanted, left_out = _largest_bucket(dataset, store)
    found: dict[str, Sample] = {}
    for shard in _shards(dataset, store, wanted):
        for sample in _read_shard(store.get_bytes(shard)):
            found[sample.clip_id] = sample
    splits: dict[str, list[Sample]] = {"train": [], "validation": []}
    for clip in store.stream_table(dataset.tables["clips"], Clip):
        if clip.bucket == wanted and clip.split and clip.annotation:
            sample = found.get(clip.clip_id) or _from_its_own_file(clip, store)
            splits[clip.split].append(sample)
    for name, samples in splits.items():
        if not samples:
            raise UsageError(f"dataset: its {name} split is empty; package more clips")
    if left_out:
        used = sum(map(len, splits.values()))
        print(
            f"dataset: bucket {wanted} with {used} clips is used, {left_out} clips of other buckets are not"
        )
    return splits


def _largest_bucket(dataset: Manifest, store: Store) -> tuple[str, int]:
    """The bucket with the most training clips, and how many clips the others hold."""
    train: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for clip in store.stream_table(dataset.tables["clips"], Clip):
        every[clip.bucket] += 1
        train[clip.bucket] += clip.split == "train"
    if not every:
        raise UsageError("dataset: it holds no clip; package more clips")
    bucket = min(every, key=lambda name: (-train[name], name))
    return bucket, every.total() - every[bucket]


def _shards(dataset: Manifest, store: Store, bucket: str) -> list[FileRef]:
    if "shards" not in dataset.tables:
        return dataset.shards
    shards = store.stream_table(dataset.tables["shards"], Shard)
    return [shard.file for shard in shards if shard.bucket == bucket]


def _from_its_own_file(clip: Clip, store: Store) -> Sample:
    assert clip.annotation is not None
    note = clip.annotation
    return Sample(clip.clip_id, note.caption, note.short_caption, clip.split, store.get_bytes(clip.media))


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
