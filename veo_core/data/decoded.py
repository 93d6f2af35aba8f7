"""Decoded clips, written once and shared by the training stages through memory maps.

Each shard of the dataset is decoded into a file of the store, named by what it was made from: the shard,
the clip's shape and the decoding code. `veo forget` removes these files whole; what is missing is decoded
again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from veo_core.data.clips import (
    SPLITS,
    ClipArrays,
    Sample,
    dataset_shards,
    decode_samples,
    in_batches,
    read_shard,
    shrink,
)
from veo_core.data.mapped import MappedShard, Rows, filled_tensors
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.fingerprint import module_fingerprint
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Split
from veo_core.records.dataset import Shard
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.records.tables import table_from_bytes
from veo_core.sharding import ShardJob, run_jobs
from veo_core.stage import Context
from veo_core.storage import Store

SUFFIX = ".decoded.safetensors"

_DECODE = ("frames", "fps", "height", "width", "upscale", "audio_rate")
_BATCH = 16


class DecodedShard(Record):
    """The decoded clips of one shard of the dataset; row of a mark `decoded/...`."""

    clips: int
    file: FileRef


@dataclass(frozen=True)
class DecodedClips:
    """Decoded clips of one split.

    full: pictures uint8 [n, 3, t, h, w]. base: the same at base size. audio: int16 [n, samples].
    """

    full: Rows
    base: Rows
    audio: Rows

    def __len__(self) -> int:
        return len(self.full)

    @classmethod
    def of(cls, shards: Sequence[MappedShard]) -> "DecodedClips":
        return cls(*(Rows(shards, name) for name in ("full", "base", "audio")))


def decoded_clips(
    dataset: Manifest, spec: ClipSpec, context: Context, most: int = 8192
) -> dict[Split, DecodedClips]:
    """Clips of the bucket with the most training clips, decoded to `spec` where no stage has done so before.

    Clips are in the order of their ids, hashes, so that the first ones are a random choice.

    Args:
        dataset: a packaged dataset.
        spec: size, rate and length.
        context: of the stage that asks.
        most: clips of a split after which no further shard is decoded.

    Raises:
        UsageError: the dataset or a file of it is damaged, or a split is empty.
        ItemError: a clip cannot be decoded.
    """
    bucket = next(iter(dataset_shards(dataset, context.store).values()))
    chosen = {split: list(_first(bucket[split], most)) for split in SPLITS}
    cache = DecodedCache(spec, context.store)
    cache.fill([shard for shards in chosen.values() for shard in shards], context)
    return {
        split: DecodedClips.of([cache.mapped(shard) for shard in shards]) for split, shards in chosen.items()
    }


def _first(shards: Sequence[Shard], most: int) -> Iterator[Shard]:
    clips = 0
    for shard in shards:
        if clips < most:
            yield shard
        clips += shard.clips


class DecodedCache:
    """The decoded shards of a store at one shape."""

    def __init__(self, spec: ClipSpec, store: Store) -> None:
        self._spec, self._store = spec, store
        shape = {name: getattr(spec, name) for name in _DECODE}
        identity = {"code": module_fingerprint(__name__), "shape": shape}
        self._key = sha256_bytes(canonical_json(identity))[:32]

    def fill(self, shards: Sequence[Shard], context: Context) -> None:
        """Decode the shards that are not there, in the processes that the stage may use."""
        work = partial(_decode, spec=self._spec, store=self._store)
        jobs = [
            ShardJob(self._store, self._mark(shard), [shard], work, DecodedShard)
            for shard in shards
            if self._find(shard) is None
        ]
        if jobs:
            run_jobs(
                jobs, executor=context.executor, workers=context.workers, label=f"{context.stage} decode"
            )

    def mapped(self, shard: Shard) -> MappedShard:
        """A shard that is there."""
        found = self._find(shard)
        assert found is not None, f"{shard.name} is not decoded"
        return MappedShard(found.file, found.clips, self._store, made_by="this stage")

    def batches(self, shard: Shard, size: int = _BATCH) -> Iterator[tuple[list[Sample], ClipArrays]]:
        """The clips of a shard in its order: from the cache, or decoded now and not kept."""
        if self._find(shard) is None:
            for samples in in_batches(read_shard(shard, self._store), size):
                yield samples, decode_samples(samples, self._spec)
            return
        clips = DecodedClips.of([self.mapped(shard)])
        start = 0
        for samples in in_batches(read_shard(shard, self._store, media=False), size):
            part = slice(start, start + len(samples))
            yield samples, ClipArrays(clips.full[part].numpy(), clips.audio[part].numpy())
            start += len(samples)

    def _find(self, shard: Shard) -> DecodedShard | None:
        data = self._store.get_mark(self._mark(shard))
        if data is None:
            return None
        (row,) = table_from_bytes(data, DecodedShard)
        return row if self._store.has(row.file) else None

    def _mark(self, shard: Shard) -> str:
        return f"decoded/{self._key}/{shard.file.sha256}"


def _decode(shards: Sequence[Shard], spec: ClipSpec, store: Store) -> list[DecodedShard]:
    return [_decode_shard(shard, spec, store) for shard in shards]


def _decode_shard(shard: Shard, spec: ClipSpec, store: Store) -> DecodedShard:
    pictures = (shard.clips, 3, spec.frames)
    shapes = {
        "audio": ("I16", (shard.clips, spec.samples)),
        "full": ("U8", (*pictures, spec.height, spec.width)),
        "base": ("U8", (*pictures, spec.base_height, spec.base_width)),
    }
    with filled_tensors(shapes, SUFFIX, store) as filled:
        start = 0
        for samples in in_batches(read_shard(shard, store), _BATCH):
            part = slice(start, start + len(samples))
            decoded = decode_samples(samples, spec)
            filled.arrays["audio"][part] = decoded.audio
            filled.arrays["full"][part] = decoded.video
            filled.arrays["base"][part] = shrink(decoded.video, spec.upscale)
            start += len(samples)
    if start != shard.clips:
        raise UsageError(
            f"shard {shard.name} holds {start} clips, its table says {shard.clips}: package again"
        )
    return DecodedShard(clips=start, file=filled.ref)
