"""Whole-number embeddings whose cosines are the same on every machine, with any threads, in any batch.

Each vector is rounded to int8 with its largest component at 127. A dot product of 512 such components is
at most 512 * 127 * 127 < 2^24, so that every partial sum of it is a whole number which float32 holds
exactly: the order in which a BLAS adds does not matter.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]

MAX_DIMENSIONS = 1024  # 1024 * 127 * 127 < 2^24
_SCALE = 127


def quantise(vectors: npt.NDArray[np.floating]) -> Int8:
    """Vectors [..., d] with their largest absolute component at 127; a zero vector stays zero.

    Raises:
        ValueError: there are more than 1024 components, or some are not finite.
    """
    if vectors.shape[-1] > MAX_DIMENSIONS:
        raise ValueError(f"embeddings of {vectors.shape[-1]} components; at most {MAX_DIMENSIONS} are exact")
    if not np.isfinite(vectors).all():
        raise ValueError("an embedding has a component that is not finite")
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.rint(vectors * (_SCALE / np.where(largest > 0, largest, 1.0))).astype(np.int8)


@dataclass(frozen=True)
class Layout:
    """How the components of an embedding behave when a picture is mirrored.

    Attributes:
        blocks: how many components change sign under no mirroring, under left-right, under top-bottom,
            and under either; (d,) for embeddings that know no mirroring.
    """

    blocks: tuple[int, ...]

    @property
    def dimensions(self) -> int:
        return sum(self.blocks)

    def cosines(self, first: Int8, second: Int8) -> Float32:
        """Cosines [n, m] of vectors [n, d] and [m, d], at the mirroring that suits each pair best."""
        dots = self.best_dots(first, second)
        dots *= inverse_norms(first)[:, None]
        dots *= inverse_norms(second)[None, :]
        return dots

    def best_dots(self, first: Int8, second: Int8) -> Float32:
        """Whole-number dot products [n, m] at the mirroring that makes each the largest."""
        one, other = first.astype(np.float32), second.astype(np.float32)
        if len(self.blocks) == 1:
            return np.asarray(one @ other.T)
        even, x, y, xy = (one[:, part] @ other[:, part].T for part in self._parts())
        # even + max(x + y + xy, -x + y - xy, x - y - xy, -x - y + xy)
        return np.asarray(even + np.maximum(np.abs(x + y) + xy, np.abs(x - y) - xy))

    def mirrorings(self, vectors: Int8) -> Int8:
        """Vectors [n, d] at each mirroring [g, n, d]: as they are, left-right, top-bottom, both."""
        if len(self.blocks) == 1:
            return vectors[None]
        signs = np.ones((4, self.dimensions), np.int8)
        _, x, y, xy = self._parts()
        signs[1, x] = signs[1, xy] = signs[2, y] = signs[2, xy] = signs[3, x] = signs[3, y] = -1
        return vectors[None] * signs[:, None]

    def _parts(self) -> list[slice]:
        ends = np.cumsum(self.blocks).tolist()
        return [slice(end - size, end) for end, size in zip(ends, self.blocks, strict=True)]


def inverse_norms(vectors: Int8) -> Float32:
    """One over the length of each vector [n, d]; 0 for a zero vector."""
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.int64)
    return np.where(squares > 0, 1.0 / np.sqrt(np.maximum(squares, 1)), 0.0).astype(np.float32)
