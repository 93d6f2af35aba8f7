"""How much two clips resemble each other, mirrored copies included."""

from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt

from veo_core.media.signature import Signature

Float32 = npt.NDArray[np.float32]


class Similarity:
    """Similarities among the clips of a list.

    A clip's picture is what stands out from its own time average, so that dark scenes do not all look
    alike. Similarity is the cosine of those, 0 to 1, as is or mirrored.
    """

    def __init__(self, signatures: Sequence[str]) -> None:
        parsed = [Signature.from_text(text) for text in signatures]
        self._pictures = _standing_out(np.stack([item.pictures for item in parsed])) if parsed else None
        self._index = None
        if self._pictures is not None:
            flat = self._pictures.reshape(len(parsed), -1)
            self._index = faiss.IndexFlatIP(flat.shape[1])
            self._index.add(flat)

    def near(self, index: int, count: int) -> list[int]:
        """Clips that may be copies of the clip at `index`, itself left out."""
        assert self._pictures is not None
        assert self._index is not None
        own = self._pictures[index]
        queries = np.stack([own, own[:, :, ::-1]]).reshape(2, -1)
        _, found = self._index.search(np.ascontiguousarray(queries), min(count, len(self._pictures)))
        return sorted({int(other) for other in found.ravel()} - {index, -1})

    def compare(self, first: int, second: int) -> float:
        """Similarity of two clips, 0 to 1."""
        assert self._pictures is not None
        one, other = self._pictures[first], self._pictures[second]
        return float(max(np.vdot(one, other), np.vdot(one[:, :, ::-1], other), 0.0))


def _standing_out(pictures: npt.NDArray[np.uint8]) -> Float32:
    """Pictures [n, t, h, w, c] less their mean level, unit length per clip."""
    values = pictures.astype(np.float32)
    values -= values.mean(axis=(1, 2, 3), keepdims=True)
    norms = np.sqrt(np.square(values).sum(axis=(1, 2, 3, 4), keepdims=True))
    return np.ascontiguousarray(values / np.maximum(norms, 1e-6))
