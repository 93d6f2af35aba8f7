"""The four steps that find alike embeddings among many: fit, assign, prune, merge.

SemDeDup (Abbas et al., 2303.09540) compares within the clusters of a k-means. Here an embedding is at home
in the cluster of its nearest centroid and visits its next ones, so that pairs on a boundary meet, too.
Every step is exact (see dedup_vectors): shards, threads and machines change nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.curate.dedup_vectors import Float32, Int8, Layout, inverse_norms, quantise

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

BLOCK = 1024  # vectors that are compared at once
_ITERATIONS = 8


@dataclass(frozen=True)
class Edges:
    """Pairs of alike items: `first` < `second`, each pair once, in order.

    Attributes:
        first, second: rows of the items [e].
        cosine: their likeness [e], -1 to 1.
    """

    first: Int64
    second: Int64
    cosine: Float32

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def none(cls) -> "Edges":
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def cluster_count(items: int, *, exact_below: int, cluster_size: int) -> int:
    """How many clusters: one, in which all pairs are compared, or clusters of about `cluster_size`."""
    return 1 if items <= exact_below else -(-items // cluster_size)


def fit(sample: Int8, clusters: int, layout: Layout) -> Int8:
    """Centroids [k, d] of a sample [n, d]: spherical k-means from its first k vectors.

    The mean of the members is rounded like any vector, which keeps the next assignment exact.
    """
    centroids = sample[:clusters].copy()
    for _ in range(_ITERATIONS if len(centroids) > 1 else 0):
        nearest = assign(sample, centroids, 1, layout)[:, 0]
        aligned = _towards(sample, centroids[nearest], layout)
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(aligned[order].astype(np.int64), starts, axis=0)
        centroids[present] = quantise(sums.astype(np.float64))
    return centroids


def assign(vectors: Int8, centroids: Int8, probes: int, layout: Layout) -> Int32:
    """The `probes` nearest centroids of each vector [n, probes], nearest first; ties go to the lower one."""
    probes = min(probes, len(centroids))
    if len(centroids) == 1:
        return np.zeros((len(vectors), 1), np.int32)
    scale = inverse_norms(centroids)
    nearest = np.empty((len(vectors), probes), np.int32)
    for start in range(0, len(vectors), BLOCK):
        scores = layout.best_dots(vectors[start : start + BLOCK], centroids) * scale
        for rank in range(probes):
            best = scores.argmax(axis=1)
            nearest[start : start + BLOCK, rank] = best
            scores[np.arange(len(scores)), best] = -np.inf
    return nearest


def prune(
    home_rows: Int64,
    home: Int8,
    visitor_rows: Int64,
    visitors: Int8,
    *,
    min_cosine: float,
    layout: Layout,
) -> Edges:
    """Alike pairs of one cluster: its members against its visitors, of which the members are some.

    Args:
        home_rows, home: rows [n] and vectors [n, d] of the members.
        visitor_rows, visitors: rows [m] and vectors [m, d] of the visitors; a row may come several times,
            with several views of its clip.
        min_cosine: the least likeness of a pair.
        layout: of the vectors.
    """
    found: list[tuple[Int64, Int64, Float32]] = []
    for start in range(0, len(visitors), BLOCK):
        rows, some = visitor_rows[start : start + BLOCK], visitors[start : start + BLOCK]
        for begin in range(0, len(home), BLOCK):
            cosines = layout.cosines(some, home[begin : begin + BLOCK])
            one, other = np.nonzero(cosines >= np.float32(min_cosine))
            found.append((rows[one], home_rows[begin : begin + BLOCK][other], cosines[one, other]))
    if not found:
        return Edges.none()
    first, second, cosine = (np.concatenate(column) for column in zip(*found, strict=True))
    return unique_edges(first, second, cosine)


def unique_edges(first: Int64, second: Int64, cosine: Float32) -> Edges:
    """Each pair once with its largest cosine, without pairs of an item and itself."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    apart = low != high
    low, high, cosine = low[apart], high[apart], cosine[apart]
    order = np.lexsort((-cosine, high, low))
    low, high, cosine = low[order], high[order], cosine[order]
    new = np.ones(len(low), bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return Edges(low[new], high[new], cosine[new])


def merge(rank: Int64, first: Int64, second: Int64, score: npt.NDArray[np.floating]) -> Int64:
    """For each item the kept one whose copy it is, or -1 where it is kept itself [n].

    Items are taken best first and are compared with kept ones only: an item goes if it is a copy of a kept
    one, never because it resembles another copy.

    Args:
        rank: each item's place, 0 for the best [n].
        first, second: the pairs that are copies of each other [e].
        score: how alike they are [e]; of several kept ones the most alike is named.
    """
    partner = np.full(len(rank), -1, np.int64)
    better = np.where(rank[first] < rank[second], first, second)
    worse = np.where(rank[first] < rank[second], second, first)
    order = np.lexsort((rank[better], -np.asarray(score), rank[worse]))
    for one, other in zip(worse[order].tolist(), better[order].tolist(), strict=True):
        if partner[one] < 0 and partner[other] < 0:
            partner[one] = other
    return partner


def _towards(vectors: Int8, centroids: Int8, layout: Layout) -> Int8:
    """Each vector [n, d] at the mirroring that is nearest to its centroid [n, d]."""
    mirrored = layout.mirrorings(vectors)
    dots = np.einsum("gnd,nd->gn", mirrored, centroids, dtype=np.int64)
    best: Int8 = mirrored[dots.argmax(axis=0), np.arange(len(vectors))]
    return best
