"""What dedup holds of every clip: a few hundred bytes, in arrays by the clip's row in order of ids."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.curate.dedup_partitions import Int64
from veo_core.records.clip import Clip

_RIGHTS = {"allowed": 2, "unknown": 1, "denied": 0}
_HASH_BITS = 64


@dataclass(frozen=True)
class Index:
    """The clips' places and what is equal among them.

    Attributes:
        ids: clip ids in order.
        sources: source ids.
        rank: each clip's place among all, 0 for the best: by rights, then quality [n].
        twin: row of the best clip with the same packets, its own where that is it [n].
        hashes: perceptual hashes in time order, uint64 [n, h]; 0 columns where clips have none in common.
    """

    ids: list[str]
    sources: list[str]
    rank: Int64
    twin: Int64
    hashes: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> "Index":
        ids, sources, qualities, packets, hashes = [], [], [], [], []
        for clip in clips:
            ids.append(clip.clip_id)
            sources.append(clip.source.source_id)
            qualities.append(_quality(clip))
            packets.append(hashlib.sha256(f"{clip.packet_hash}/{clip.shot}".encode()).digest())
            hashes.append(np.array([int(text, 16) for text in clip.frame_hashes], np.uint64))
        order = sorted(range(len(ids)), key=lambda row: (qualities[row], ids[row]), reverse=True)
        rank = np.empty(len(ids), np.int64)
        rank[order] = np.arange(len(ids))
        best: dict[bytes, int] = {}
        for row in order:
            best.setdefault(packets[row], row)
        twin = np.array([best[packet] for packet in packets], np.int64)
        width = min((len(row) for row in hashes), default=0)
        table = np.array([row[:width] for row in hashes], np.uint64).reshape(len(ids), width)
        return cls(ids, sources, rank, twin, table)

    def hash_distance(self, first: Int64, second: Int64) -> npt.NDArray[np.float64]:
        """Mean number of different bits of the hashes of clips, frame by frame [e]; 64 without hashes."""
        if not self.hashes.shape[1]:
            return np.full(len(first), float(_HASH_BITS))
        differing = np.bitwise_count(self.hashes[first] ^ self.hashes[second])
        return np.asarray(differing.mean(axis=1, dtype=np.float64))

    def equal_hashes(self) -> tuple[Int64, Int64]:
        """Pairs of the best clip and another one, all of whose hashes are equal."""
        if not self.hashes.shape[1] or not len(self):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        _, group = np.unique(self.hashes, axis=0, return_inverse=True)
        group = group.reshape(-1)
        order = np.lexsort((self.rank, group))
        new = np.ones(len(order), bool)
        new[1:] = group[order][1:] != group[order][:-1]
        best = order[new][np.cumsum(new) - 1]
        return best[~new], order[~new]


def _quality(clip: Clip) -> tuple[int, float, float, float, float]:
    """What makes one copy better than another: rights, no bars, no overlay, sharpness, loudness."""
    return (
        _RIGHTS[clip.source.ml_training],
        -round(clip.signals.bars, 2),
        -round(clip.signals.text, 3),
        round(clip.signals.sharpness, 2),
        round(clip.signals.loudness, 1),
    )
