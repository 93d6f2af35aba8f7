"""How much two clips resemble each other: copies that were re-encoded, cropped, mirrored or stamped."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import faiss
import numpy as np
import numpy.typing as npt

from veo_core.media.signature import SIDE, Signature

Float32 = npt.NDArray[np.float32]

_MARGINS = (0.04, 0.08, 0.12)  # shares of each side that one copy may have lost
_STILL = 1.0  # root mean square change below which nothing moves, in levels of 255
_COARSE = 0.35  # least unaligned likeness of motion that is worth an alignment
_COARSE_COLOUR = 3.0  # likewise, how many times the limit the unaligned colours may differ


@dataclass(frozen=True, order=True)
class Match:
    """How alike two clips are in the alignment that suits them best.

    Attributes:
        motion: cosine of what changes over time, -1 to 1. A logo, which does not change, hardly alters it.
        colour: median absolute difference of the pictures in levels of 255, negative: more is better. It
            tells scenes apart in which the like happens before another background.
    """

    motion: float
    colour: float


class Similarity:
    """Matches among the clips of a list, by their signatures.

    Args:
        signatures: the clips' signatures as text.
        max_colour: largest difference of colour of two copies, in levels of 255.
    """

    def __init__(self, signatures: Sequence[str], *, max_colour: float) -> None:
        self._max_colour = max_colour
        self._pictures = [Signature.from_text(text).pictures.astype(np.float32) for text in signatures]
        self._scenes = [np.median(pictures, axis=0) for pictures in self._pictures]
        self._index: faiss.IndexFlatIP | None = None
        changes = [_changes(pictures).ravel() for pictures in self._pictures]
        if changes:
            self._index = faiss.IndexFlatIP(changes[0].size)
            self._index.add(np.stack(changes))

    def near(self, index: int, count: int) -> list[int]:
        """Clips that may be copies of the clip at `index`, itself left out: alike before any alignment."""
        assert self._index is not None
        queries = np.stack([_changes(picture).ravel() for picture in _mirrored(self._pictures[index])])
        likeness, found = self._index.search(queries, min(count + 1, len(self._pictures)))
        alike = {int(other) for other in found[likeness >= _COARSE]} - {index, -1}
        return sorted(other for other in alike if self._scenes_resemble(index, other))

    def match(self, first: int, second: int) -> Match:
        """The best match of two clips: as they are, mirrored, and with either of them cropped alike."""
        one, other = _mirrored(self._pictures[first]), self._pictures[second]
        matches = [_match(picture, other) for picture in one]
        for margin in _MARGINS:
            inner = _inner(other, margin)
            matches += [_match(picture, inner) for picture in one]
            matches += [_match(_inner(picture, margin), other) for picture in one]
        alike = [match for match in matches if -match.colour <= self._max_colour]
        return max(alike or matches)

    def _scenes_resemble(self, first: int, second: int) -> bool:
        one, other = _mirrored(self._scenes[first][None]), self._scenes[second]
        differences = (np.median(np.abs(scene[0] - other)) for scene in one)
        return float(min(differences)) <= _COARSE_COLOUR * self._max_colour


def _match(one: Float32, other: Float32) -> Match:
    return Match(
        motion=float(np.vdot(_changes(one), _changes(other))),
        colour=-float(np.median(np.abs(one - other))),
    )


def _mirrored(pictures: Float32) -> list[Float32]:
    """Pictures [t, h, w, c] as they are, left with right, and top with bottom exchanged."""
    return [pictures, pictures[:, :, ::-1], pictures[:, ::-1]]


def _changes(pictures: Float32) -> Float32:
    """What differs from the temporal median [t, h, w, c], as a vector of unit length.

    Where nothing moves, what differs from the mean colour takes its place.
    """
    values = pictures - np.median(pictures, axis=0)
    if np.sqrt(np.mean(np.square(values))) < _STILL:
        values = pictures - pictures.mean(axis=(0, 1, 2))
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
