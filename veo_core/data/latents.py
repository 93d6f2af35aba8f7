"""Precomputed latents: a dataset of memory-mapped shards by split and bucket, with captions.

A shard is a safetensors file whose tensors have a row for each clip. Tables of the manifest: `latents` names
the shards, `captions` the clips. File `layout` says what the latents of each bucket stand for, `statistics`
the mean and standard deviation of their channels.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from veo_core.data.clips import SPLITS
from veo_core.data.mapped import MappedShard, Rows, store_tensors
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.clip import Split
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

SUFFIX = ".latents.safetensors"

Part = Literal["base", "full", "frames"]
"""What a shard is for.

base: what the base model trains on: `video` [n, c, t, h, w], `audio` [n, c, l], and where a text encoder
    was given, `text` [n, m, d] with `text_mask` bool [n, m], `short_text` and `short_text_mask` alike.
full: what the upsampler trains on: `video`, the picture at base size; `full`, at full size; `enlarged`, the
    base picture enlarged without a model and encoded again.
frames: pictures uint8 `frames` [n, 3, t, h, w] at full size, of the first validation clips.
"""

_TEXTS = ("captions", "short_captions", "clip_ids")
"""Columns of texts in a shard: UTF-8 bytes, padded with zeros, uint8 [n, longest]."""


class LatentLayout(Record):
    """What the latents of a bucket stand for."""

    clip: ClipSpec
    video_channels: int
    audio_channels: int


class LatentLayouts(Record):
    """File `layout` of the manifest."""

    buckets: dict[str, LatentLayout] = Field(description="by name; the one with most training clips first")


class LatentShard(Record):
    """A file of latents; row of the table `latents`."""

    part: Part
    split: Split
    bucket: str
    clips: int
    file: FileRef


class LatentClip(Record):
    """A clip that was encoded; row of the table `captions`."""

    clip_id: str
    split: Split
    bucket: str
    row: int = Field(description="its place among the clips of its split and bucket")
    caption: str
    short_caption: str


@dataclass(frozen=True)
class LatentBatch:
    """Clips of one bucket on the CPU.

    tensors: latents float16 and what else the shards hold, by name, [b, ...] each.
    captions, short_captions, clip_ids: one of each a clip.
    """

    tensors: dict[str, Tensor]
    captions: list[str]
    short_captions: list[str]
    clip_ids: list[str]

    def __len__(self) -> int:
        return len(self.captions)


class Described(Protocol):
    """What a clip is called, and what is said of it."""

    @property
    def clip_id(self) -> str: ...
    @property
    def caption(self) -> str: ...
    @property
    def short_caption(self) -> str: ...


class LatentBucket:
    """The clips of one split and bucket.

    Args:
        name: the bucket's.
        layout: what its latents stand for.
        shards: its files, in order.
    """

    def __init__(self, name: str, layout: LatentLayout, shards: Sequence[MappedShard]) -> None:
        self.name, self.layout = name, layout
        self._shards = shards
        self._clips = sum(shard.rows for shard in shards)
        self._rows: dict[str, Rows] | None = None

    def __len__(self) -> int:
        return self._clips

    @property
    def rows(self) -> dict[str, Rows]:
        """The tensors by name.

        Raises:
            UsageError: the first shard is missing or damaged.
        """
        if self._rows is None:
            names = sorted(set(self._shards[0].tensors) - set(_TEXTS))
            self._rows = {name: Rows(self._shards, name) for name in names}
        return self._rows

    def read(self, numbers: Sequence[int], *, pin: bool = False) -> LatentBatch:
        """Copy clips out of the shards, for CUDA into memory that a device reads by itself (`pin`).

        Raises:
            UsageError: a shard is missing or damaged.
        """
        tensors = {}
        for name, rows in self.rows.items():
            out = torch.empty((len(numbers), *rows.shape[1:]), dtype=rows.dtype, pin_memory=pin)
            rows.read_into(out, numbers)
            tensors[name] = out
        return LatentBatch(tensors, *([rows[number] for number in numbers] for rows in self._texts))

    def clips(self, split: Split) -> Iterator[LatentClip]:
        """The rows of its clips in the table `captions`."""
        long, short, ids = self._texts
        for row in range(len(self)):
            yield LatentClip(
                clip_id=ids[row],
                split=split,
                bucket=self.name,
                row=row,
                caption=long[row],
                short_caption=short[row],
            )

    @property
    def _texts(self) -> tuple["_Texts", ...]:
        return tuple(_Texts(Rows(self._shards, name)) for name in _TEXTS)


class _Texts:
    """A column of texts."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __getitem__(self, number: int) -> str:
        return self._rows[number].numpy().tobytes().rstrip(b"\0").decode()


def store_shard(tensors: Mapping[str, Tensor], clips: Sequence[Described], store: Store) -> FileRef:
    """Store clips as a shard: tensors [n, ...], and what names and describes them."""
    texts = (
        [clip.caption for clip in clips],
        [clip.short_caption for clip in clips],
        [clip.clip_id for clip in clips],
    )
    columns = {name: _packed(column) for name, column in zip(_TEXTS, texts, strict=True)}
    return store_tensors({**tensors, **columns}, SUFFIX, store)


def _packed(texts: Sequence[str]) -> Tensor:
    data = [text.encode() for text in texts]
    longest = max(1, *map(len, data))
    rows = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in data), np.uint8)
    return torch.from_numpy(rows.reshape(len(data), longest).copy())


def load_latents(manifest: Manifest, store: Store, part: Part = "base") -> dict[Split, list[LatentBucket]]:
    """The buckets of each split, the one with most training clips first. Nothing is read of the shards yet.

    Raises:
        UsageError: the manifest is none of latents.
    """
    if "latents" not in manifest.tables:
        raise UsageError(
            f"latents: the manifest of stage {manifest.stage!r} names no latents; run encode_latents again"
        )
    layouts = LatentLayouts.parse(
        json.loads(store.get_bytes(manifest.files["layout"])), where="latents layout"
    )
    found: dict[tuple[Split, str], list[MappedShard]] = {}
    for row in store.stream_table(manifest.tables["latents"], LatentShard):
        if row.part == part:
            shard = MappedShard(row.file, row.clips, store, made_by=manifest.stage)
            found.setdefault((row.split, row.bucket), []).append(shard)
    return {
        split: [
            LatentBucket(name, layout, found[split, name])
            for name, layout in layouts.buckets.items()
            if (split, name) in found
        ]
        for split in SPLITS
    }


def load_frames(manifest: Manifest, store: Store) -> tuple[Tensor, list[str]]:
    """Full-size pictures of the first validation clips, uint8 [n, 3, t, h, w], and their captions."""
    (bucket,) = load_latents(manifest, store, "frames")["validation"]
    batch = bucket.read(range(len(bucket)))
    return batch.tensors["frames"], batch.captions
