"""How much two clips resemble each other: copies that were re-encoded, cropped, mirrored or stamped."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import faiss
import numpy as np
import numpy.typing as npt

from veo_core.media.signature import SIDE, Signature

Float32 = npt.NDArray[np.float32]

_MARGINS = (0.0, 0.04, 0.08, 0.12)  # shares of each side that the other copy may have lost


@dataclass(frozen=True, order=True)
class Match:
    """How alike two clips are in the alignment that suits them best.

    Attributes:
        motion: cosine of what changes over time, -1 to 1. A logo, which does not change, hardly alters it.
        colour: median absolute difference of the pictures, in levels of 255, negated so that more is
            better. It tells scenes apart in which the like happens before another background.
    """

    motion: float
    colour: float


class Similarity:
    """Matches among the clips of a list, by their signatures."""

    def __init__(self, signatures: Sequence[str]) -> None:
        self._pictures = [Signature.from_text(text).pictures.astype(np.float32) for text in signatures]
        self._index: faiss.IndexFlatIP | None = None
        self._changes = [_changes(pictures) for pictures in self._pictures]
        if self._changes:
            self._index = faiss.IndexFlatIP(self._changes[0].size)
            self._index.add(np.stack([change.ravel() for change in self._changes]))

    def near(self, index: int, count: int) -> list[int]:
        """The clips that are the likeliest copies of the clip at `index`, itself left out."""
        assert self._index is not None
        own = self._pictures[index]
        queries = np.stack([_changes(picture).ravel() for picture in (own, own[:, :, ::-1])])
        _, found = self._index.search(queries, min(count + 1, len(self._pictures)))
        return sorted({int(other) for other in found.ravel()} - {index, -1})

    def match(self, first: int, second: int) -> Match:
        """The best match of two clips: as they are, mirrored, and with either of them cropped."""
        one, other = self._pictures[first], self._pictures[second]
        mirrored = one[:, :, ::-1]
        matches = [_match(picture, other) for picture in (one, mirrored)]
        for margin in _MARGINS[1:]:
            inner = _inner(other, margin)
            matches += [_match(picture, inner) for picture in (one, mirrored)]
            matches += [_match(_inner(picture, margin), other) for picture in (one, mirrored)]
        return max(matches)


def _match(one: Float32, other: Float32) -> Match:
    return Match(
        motion=float(np.vdot(_changes(one), _changes(other))),
        colour=-float(np.median(np.abs(one - other))),
    )


def _changes(pictures: Float32) -> Float32:
    """What differs from the temporal median [t, h, w, c], as a vector of unit length."""
    values = pictures - np.median(pictures, axis=0)
    norm = float(np.sqrt(np.vdot(values, values)))
    return np.ascontiguousarray(values / max(norm, 1e-6), dtype=np.float32)


def _inner(pictures: Float32, margin: float) -> Float32:
    """Pictures [t, h, w, c] without a margin at each side, at their former size."""
    low, high = margin * SIDE, (1 - margin) * SIDE
    scale = (high - low) / SIDE
    # Cell centres of the inner part, in cells of the whole.
    transform = np.array([[scale, 0, low + scale / 2 - 0.5], [0, scale, low + scale / 2 - 0.5]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [
            cv2.warpAffine(picture, transform, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for picture in pictures
        ]
    )
