"""Pairs of clips that may be copies, and how alike they are: the steps of dedup as shards of work.

    fit     one place: a sample of embeddings, chosen by the smallest hashes of ids, gives the centroids
    assign  a shard of clips: embeddings, and the clusters that each is at home in and visits
    prune   a block of a cluster's members against a block of its visitors: pairs that are alike enough
    verify  a span of pairs: their pictures, aligned

Merging, in one place, follows in `dedup`. Each step's work is a plain function over its items, which read
what they need from flat files in the store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.curate.dedup_alignment import Likeness, align, scene_difference, scene_of, unaligned
from veo_core.curate.dedup_descriptor import CROPS, EXCERPTS, WHOLE, View, embed
from veo_core.curate.dedup_descriptor import layout as descriptor_layout
from veo_core.curate.dedup_files import FlatFile, packed, unpacked
from veo_core.curate.dedup_index import Index
from veo_core.curate.dedup_partitions import (
    BLOCK,
    Edges,
    Int64,
    assign,
    cluster_count,
    fit,
    prune,
    unique_edges,
)
from veo_core.curate.dedup_vectors import Int8, Layout
from veo_core.records.base import Record, sha256_bytes
from veo_core.stage import Context
from veo_core.storage import Store

_ROWS = 256  # clips of an assigned span
_SAMPLED = 32  # clips for each cluster
_PAIRS = 256  # pairs that are aligned at once


class SearchConfig(Record):
    """Which pairs are looked at, and when they count as copies."""

    min_motion: float = Field(
        default=0.92, ge=0, le=1, description="least likeness of what moves in two copies, a cosine"
    )
    max_colour: float = Field(
        default=1.5, ge=0, description="largest median difference of two copies' pictures, in levels of 255"
    )
    max_hash_distance: float = Field(
        default=3.0, ge=0, le=64, description="bits of 64 below which hashes alone call for a first look"
    )
    min_cosine: float = Field(
        default=0.55, ge=-1, le=1, description="least likeness of the embeddings of pairs that are aligned"
    )
    max_scene: float = Field(
        default=4.0, ge=0, description="largest median difference of what stands still, before alignment"
    )
    max_tempo: float = Field(
        default=1.25, ge=1, description="how many times faster or slower an excerpt may play than the clip"
    )
    crops: bool = Field(default=True, description="look for copies that were cropped")
    excerpts: bool = Field(default=True, description="look for copies that are a part of a clip")
    exact_below: int = Field(default=5000, ge=1, description="clips up to which all pairs are compared")
    cluster_size: int = Field(default=400, ge=1, description="clips of a cluster, where there are more")
    probes: int = Field(default=4, ge=1, description="clusters in which each clip is looked for")

    @property
    def views(self) -> tuple[View, ...]:
        return WHOLE + CROPS * self.crops + EXCERPTS * self.excerpts

    def is_copy(self, likeness: Likeness) -> npt.NDArray[np.bool_]:
        return (likeness.motion >= self.min_motion) & (likeness.colour <= self.max_colour)


class Assigned(Record):
    """A span of clips, assigned: arrays as text (dedup_files)."""

    begin: int
    rows: int
    views: int
    vectors: str = Field(description="int8 [n, views, d]")
    clusters: str = Field(description="int32 [n, views, probes], nearest first")
    scenes: str = Field(description="uint8 [n, 4, 4, 3]")


class Block(Record):
    """Members and visitors of a cluster that are compared with each other, as spans of its files."""

    cluster: int
    home: FlatFile
    visitors: FlatFile
    home_begin: int
    visitors_begin: int

    @property
    def name(self) -> str:
        return f"prune/{self.cluster}/{self.home_begin}/{self.visitors_begin}"


class Candidates(Record):
    """The alike pairs of a block."""

    block: str
    first: list[int]
    second: list[int]
    cosine: list[float]


class Verified(Record):
    """The likeness of a span of pairs, in their order; `hashed` where the hashes told it."""

    begin: int
    motion: list[float]
    colour: list[float]
    hashed: list[bool]


@dataclass(frozen=True)
class Pairs:
    """Alike pairs of clips, in order of their rows `first` < `second`, as arrays [e].

    Attributes:
        cosine: likeness of their embeddings.
        hash_distance: mean number of different bits of their hashes.
        motion, colour: likeness of their pictures (dedup_alignment.Likeness).
        hashed: where the hashes and the pictures as they are told that they are copies.
    """

    first: Int64
    second: Int64
    cosine: npt.NDArray[np.float64]
    hash_distance: npt.NDArray[np.float64]
    motion: npt.NDArray[np.float64]
    colour: npt.NDArray[np.float64]
    hashed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)


class Search:
    """The search for alike pairs among the clips of an index.

    Args:
        index: the clips.
        pictures: their signatures.
        seconds: how long the shots of the signatures are [n].
        vectors: embeddings of a model, int8 [n, d]; None for the descriptor of the signatures.
        config: what is alike.
        context: the stage's context.
    """

    def __init__(
        self,
        index: Index,
        pictures: FlatFile,
        seconds: npt.NDArray[np.float64],
        vectors: FlatFile | None,
        config: SearchConfig,
        context: Context,
    ) -> None:
        self._index, self._pictures, self._seconds, self._vectors = index, pictures, seconds, vectors
        self._config, self._context = config, context

    def pairs(self) -> Pairs:
        """Every alike pair of clips that differ in their packets."""
        edges = self._edges()
        distance = np.round(self._index.hash_distance(edges.first, edges.second), 3)
        lengths = self._seconds[edges.first] / self._seconds[edges.second]
        columns = np.stack([edges.first, edges.second, distance, lengths], axis=1, dtype=np.float64)
        context = self._context
        file = FlatFile.write(context.store, [columns], "float64", (4,))
        motion, colour = np.zeros(len(edges)), np.zeros(len(edges))
        hashed = np.zeros(len(edges), bool)
        for span in context.map_shards(
            list(range(0, len(edges), _PAIRS)),
            partial(
                verify_spans, store=context.store, pairs=file, pictures=self._pictures, config=self._config
            ),
            identity=lambda begin: f"verify/{begin}",
            result=Verified,
            shard_size=1,
        ):
            here = slice(span.begin, span.begin + len(span.motion))
            motion[here], colour[here], hashed[here] = span.motion, span.colour, span.hashed
        cosine = np.asarray(np.round(edges.cosine.astype(np.float64), 4), np.float64)
        return Pairs(edges.first, edges.second, cosine, distance, motion, colour, hashed)

    def _edges(self) -> Edges:
        """Pairs whose embeddings and scenes are alike, or all of whose hashes are equal."""
        if not len(self._index):
            return Edges.none()
        context, store = self._context, self._context.store
        spans = list(range(0, len(self._index), _ROWS))
        assigned = context.map_shards(
            spans,
            partial(
                assign_spans,
                store=store,
                pictures=self._pictures,
                vectors=self._vectors,
                centroids=self._centroids(),
                config=self._config,
            ),
            identity=lambda begin: f"assign/{begin}",
            result=Assigned,
            shard_size=4,
        )
        with TemporaryDirectory(prefix="veo-dedup-") as folder:
            blocks, scenes = _cluster_files(assigned, len(self._index), store, Path(folder))
        scene_file = FlatFile.write(store, [scenes], "uint8", (4, 4, 3))
        first, second = self._index.equal_hashes()
        edges = [Edges(first, second, np.ones(len(first), np.float32))]
        for found in context.map_shards(
            blocks,
            partial(
                prune_blocks,
                store=store,
                scenes=scene_file,
                layout=_layout(self._vectors),
                config=self._config,
            ),
            identity=lambda block: block.name,
            result=Candidates,
            shard_size=4,
        ):
            edges.append(
                Edges(
                    np.array(found.first, np.int64),
                    np.array(found.second, np.int64),
                    np.array(found.cosine, np.float32),
                )
            )
        first, second, cosine = (
            np.concatenate([getattr(some, name) for some in edges]) for name in ("first", "second", "cosine")
        )
        best = (self._index.twin[first] == first) & (self._index.twin[second] == second)
        return unique_edges(first[best], second[best], cosine[best])

    def _centroids(self) -> Int8:
        count = cluster_count(
            len(self._index), exact_below=self._config.exact_below, cluster_size=self._config.cluster_size
        )
        ids = self._index.ids
        wanted = 1 if count == 1 else min(len(ids), _SAMPLED * count)
        by_hash = sorted(range(len(ids)), key=lambda row: sha256_bytes(ids[row].encode()))
        rows = np.array(by_hash[:wanted])
        sample = np.concatenate(
            [
                _embedded(
                    rows[begin : begin + _ROWS], self._context.store, self._pictures, self._vectors, WHOLE
                )[:, 0]
                for begin in range(0, len(rows), _ROWS)
            ]
        )
        return fit(sample, count, _layout(self._vectors))


def assign_spans(
    begins: Sequence[int],
    *,
    store: Store,
    pictures: FlatFile,
    vectors: FlatFile | None,
    centroids: Int8,
    config: SearchConfig,
) -> list[Assigned]:
    """Embed spans of clips and assign each view to its nearest clusters."""
    results = []
    for begin in begins:
        rows = np.arange(begin, min(begin + _ROWS, pictures.rows))
        embedded = _embedded(rows, store, pictures, vectors, config.views)
        n, views, d = embedded.shape
        clusters = assign(embedded.reshape(-1, d), centroids, config.probes, _layout(vectors))
        results.append(
            Assigned(
                begin=begin,
                rows=n,
                views=views,
                vectors=packed(embedded),
                clusters=packed(clusters),
                scenes=packed(scene_of(pictures.span(store, begin, begin + _ROWS))),
            )
        )
    return results


def prune_blocks(
    blocks: Sequence[Block], *, store: Store, scenes: FlatFile, layout: Layout, config: SearchConfig
) -> list[Candidates]:
    """Pairs of blocks that are alike in their embeddings and in what stands still."""
    results = []
    everything = scenes.span(store, 0, scenes.rows)
    for block in blocks:
        home = block.home.span(store, block.home_begin, block.home_begin + BLOCK)
        visitors = block.visitors.span(store, block.visitors_begin, block.visitors_begin + BLOCK)
        home_rows, home_vectors = _parted(home)
        visitor_rows, visitor_vectors = _parted(visitors)
        edges = prune(
            home_rows,
            home_vectors,
            visitor_rows,
            visitor_vectors,
            min_cosine=config.min_cosine,
            layout=layout,
        )
        alike = scene_difference(everything[edges.first], everything[edges.second]) <= config.max_scene
        results.append(
            Candidates(
                block=block.name,
                first=edges.first[alike].tolist(),
                second=edges.second[alike].tolist(),
                cosine=edges.cosine[alike].tolist(),
            )
        )
    return results


def verify_spans(
    begins: Sequence[int], *, store: Store, pairs: FlatFile, pictures: FlatFile, config: SearchConfig
) -> list[Verified]:
    """How alike the pictures of pairs are: as they are where their hashes say so, else aligned."""
    results = []
    for begin in begins:
        first, second, distance, lengths = pairs.span(store, begin, begin + _PAIRS).T
        one = pictures.read(store, first.astype(np.int64))
        other = pictures.read(store, second.astype(np.int64))
        motion, colour = np.zeros(len(one)), np.zeros(len(one))
        hashed = np.zeros(len(one), bool)
        close = np.flatnonzero(distance <= config.max_hash_distance)
        if len(close):
            found = unaligned(one[close], other[close])
            motion[close], colour[close] = found.motion, found.colour
            hashed[close] = config.is_copy(found)
        left = np.flatnonzero(~hashed)
        if len(left):
            found = align(
                one[left],
                other[left],
                lengths[left],
                max_colour=config.max_colour,
                max_tempo=config.max_tempo,
            )
            motion[left], colour[left] = found.motion, found.colour
        results.append(
            Verified(
                begin=begin,
                motion=np.round(motion, 4).tolist(),
                colour=np.round(colour, 3).tolist(),
                hashed=hashed.tolist(),
            )
        )
    return results


def _embedded(
    rows: npt.NDArray[np.integer],
    store: Store,
    pictures: FlatFile,
    vectors: FlatFile | None,
    views: tuple[View, ...],
) -> Int8:
    """Embeddings [n, views, d] of clips: those of a model have one view."""
    if vectors is None:
        return embed(pictures.read(store, rows), views)
    return np.asarray(vectors.read(store, rows)[:, None])


def _layout(vectors: FlatFile | None) -> Layout:
    return descriptor_layout() if vectors is None else Layout(vectors.shape)


def _record(dimensions: int) -> np.dtype[Any]:
    return np.dtype([("row", "<i8"), ("vector", "i1", (dimensions,))])


def _parted(records: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], Int8]:
    """Rows [n] and vectors [n, d] of a cluster's records as bytes [n, 8 + d]."""
    typed = np.ascontiguousarray(records).view(_record(records.shape[1] - 8))[:, 0]
    return np.ascontiguousarray(typed["row"]), np.ascontiguousarray(typed["vector"])


def _cluster_files(
    assigned: Iterable[Assigned], clips: int, store: Store, folder: Path
) -> tuple[list[Block], npt.NDArray[np.uint8]]:
    """Files of each cluster's members and visitors, as blocks; and the clips' scenes."""
    scenes = np.zeros((clips, 4, 4, 3), np.uint8)
    width = 0
    for span in assigned:
        n = span.rows
        scenes[span.begin : span.begin + n] = unpacked(span.scenes, "uint8", (n, 4, 4, 3))
        vectors = unpacked(span.vectors, "int8", (n * span.views, -1))
        clusters = unpacked(span.clusters, "int32", (n * span.views, -1))
        width = 8 + vectors.shape[1]
        records = np.zeros(len(vectors), _record(vectors.shape[1]))
        records["row"] = span.begin + np.arange(n).repeat(span.views)
        records["vector"] = vectors
        whole = np.arange(len(vectors)) % span.views == 0
        for cluster in np.unique(clusters).tolist():
            here = (clusters == cluster).any(axis=1)
            _append(folder / f"visitors-{cluster}", records[here])
            _append(folder / f"home-{cluster}", records[whole & (clusters[:, 0] == cluster)])
    blocks = []
    for path in sorted(folder.glob("home-*"), key=lambda path: int(path.name.split("-")[1])):
        cluster = int(path.name.split("-")[1])
        home, visitors = (
            FlatFile(
                file=store.put_file(file, ".bin"),
                dtype="uint8",
                shape=(width,),
                rows=file.stat().st_size // width,
            )
            for file in (path, folder / f"visitors-{cluster}")
        )
        blocks += [
            Block(cluster=cluster, home=home, visitors=visitors, home_begin=i, visitors_begin=j)
            for i in range(0, home.rows, BLOCK)
            for j in range(0, visitors.rows, BLOCK)
        ]
    return blocks, scenes


def _append(path: Path, records: npt.NDArray[Any]) -> None:
    if len(records):
        with path.open("ab") as stream:
            stream.write(records.tobytes())
