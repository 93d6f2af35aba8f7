"""Training clips, read from the packaged dataset's shards and decoded."""

import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.media.decode import decode, frames_at
from veo_core.records.clip import Split
from veo_core.records.dataset import Shard
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

SPLITS: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True)
class Sample:
    """One packaged clip: its MP4 bytes with what belongs to it. Size in pixels."""

    clip_id: str
    caption: str
    short_caption: str
    width: int
    height: int
    media: bytes


@dataclass(frozen=True)
class ClipArrays:
    """Decoded clips, in the order of their samples.

    video: uint8 [n, 3, t, h, w]. audio: int16 [n, samples].
    """

    video: npt.NDArray[np.uint8]
    audio: npt.NDArray[np.int16]


def dataset_shards(dataset: Manifest, store: Store) -> dict[str, dict[Split, list[Shard]]]:
    """The shards of a packaged dataset by bucket and split; the bucket with most training clips first.

    Raises:
        UsageError: it is no packaged dataset, or its first bucket has no clip in one of the splits.
    """
    if "shards" not in dataset.tables:
        raise UsageError(f"dataset: the manifest of stage {dataset.stage!r} is no packaged dataset")
    shards = list(store.stream_table(dataset.tables["shards"], Shard))
    train: Counter[str] = Counter()
    for shard in shards:
        train[shard.bucket] += shard.clips if shard.split == "train" else 0
    if not train:
        raise UsageError("dataset: it holds no clip; package more clips")
    buckets = sorted(train, key=lambda name: (-train[name], name))
    by_bucket: dict[str, dict[Split, list[Shard]]] = {
        name: {split: [] for split in SPLITS} for name in buckets
    }
    for shard in sorted(shards, key=lambda shard: shard.name):
        by_bucket[shard.bucket][shard.split].append(shard)
    for split, found in by_bucket[buckets[0]].items():
        if not found:
            raise UsageError(f"dataset: its {split} split is empty; package more clips")
    return by_bucket


def read_shard(shard: Shard, store: Store, *, media: bool = True) -> Iterator[Sample]:
    """The clips of a shard in its order, one at a time in memory; without `media` only what is said of them.

    Raises:
        UsageError: the shard is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="veo-tar-") as folder:
        path = store.local_path(shard.file, Path(folder))
        try:
            with tarfile.open(path) as archive:
                yield from _samples(archive, {"json", "mp4"} if media else {"json"})
        except (tarfile.TarError, KeyError, ValueError) as error:
            raise UsageError(
                f"store {store.root}: shard {shard.name} ({shard.file.path}) is damaged ({error}); delete it "
                f"and run package again"
            ) from None


def _samples(archive: tarfile.TarFile, kinds: set[str]) -> Iterator[Sample]:
    """The members of a clip follow each other, named by its id."""
    current, parts = "", dict[str, bytes]()
    for member in archive:
        key, _, kind = member.name.rpartition(".")
        if key != current and parts:
            yield _sample(parts)
            parts = {}
        current = key
        stream = archive.extractfile(member) if kind in kinds else None
        if stream is not None:
            parts[kind] = stream.read()
    if parts:
        yield _sample(parts)


def _sample(parts: dict[str, bytes]) -> Sample:
    note: dict[str, Any] = json.loads(parts["json"])
    texts = {name: note[name] for name in ("clip_id", "caption", "short_caption")}
    size = {name: note["facts"][name] for name in ("width", "height")}
    return Sample(**texts, **size, media=parts.get("mp4", b""))


def decode_samples(samples: Sequence[Sample], spec: ClipSpec) -> ClipArrays:
    """Decode clips to the size, rate and length of `spec`: shrunk, and cut at the middle to its aspect.

    In one thread: such short clips are mostly Python's work, and threads only wait for its lock.

    Raises:
        ItemError: a file cannot be decoded.
    """
    video = np.empty((len(samples), 3, spec.frames, spec.height, spec.width), np.uint8)
    audio = np.zeros((len(samples), spec.samples), np.int16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        for index, sample in enumerate(samples):
            path.write_bytes(sample.media)
            height, width = filling(sample.height, sample.width, spec)
            decoded = decode(path, size=(height, width), audio_rate=spec.audio_rate, mono=True)
            top, left = (height - spec.height) // 2, (width - spec.width) // 2
            shown = decoded.frames[
                frames_at(decoded, spec.fps, spec.frames), top : top + spec.height, left : left + spec.width
            ]
            video[index] = shown.transpose(3, 0, 1, 2)
            if decoded.audio is not None:
                sound = decoded.audio[0, : spec.samples]
                audio[index, : len(sound)] = np.rint(32767.0 * np.clip(sound, -1.0, 1.0))
    return ClipArrays(video, audio)


def filling(height: int, width: int, spec: ClipSpec) -> tuple[int, int]:
    """The size at which a picture just covers the pictures of `spec`: (height, width) in pixels."""
    scale = max(spec.height / height, spec.width / width)
    return max(spec.height, round(height * scale)), max(spec.width, round(width * scale))


def in_batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Samples in lists of `size`; the last one may be shorter."""
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def shrink(video: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Area-downscale pictures: uint8 [n, c, t, h, w] to [n, c, t, h / factor, w / factor]."""
    n, c, t, h, w = video.shape
    cells = video.reshape(n, c, t, h // factor, factor, w // factor, factor)
    means: npt.NDArray[np.float32] = cells.mean((4, 6), dtype=np.float32)
    return (means + 0.5).astype(np.uint8)
