"""How much two clips resemble each other: copies that were re-encoded, cropped, mirrored or stamped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import faiss
import numpy as np
import numpy.typing as npt

from veo_core.media.signature import SIDE, Signature

Float32 = npt.NDArray[np.float32]

_MARGINS = (0.04, 0.08, 0.12)  # shares of each side that one copy may have lost
_STILL = 1.0  # root mean square change below which nothing moves, in levels of 255
_COARSE_MOTION = 0.4  # least unaligned likeness of motion that is worth an alignment
_COARSE_COLOUR = 1.5  # likewise, how many times the limit the unaligned colours may differ


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
        min_motion: least likeness of motion of two copies.
        max_colour: largest difference of colour of two copies, in levels of 255.
        candidates: how many of the nearest clips are considered for each.
    """

    def __init__(
        self, signatures: Sequence[str], *, min_motion: float, max_colour: float, candidates: int
    ) -> None:
        self._min_motion, self._max_colour = min_motion, max_colour
        self._pictures = [Signature.from_text(text).pictures.astype(np.float32) for text in signatures]
        self._max_coarse_colour = _COARSE_COLOUR * max_colour
        self._scenes = np.array([np.median(pictures, axis=0) for pictures in self._pictures])
        self._near = _nearest(self._pictures, candidates)

    def is_copy(self, match: Match) -> bool:
        return match.motion >= self._min_motion and -match.colour <= self._max_colour

    def near(self, index: int) -> list[int]:
        """Clips that may be copies of the clip at `index`, itself left out: alike before any alignment."""
        others = self._near[index]
        if not others:
            return []
        scenes = self._scenes[others].reshape(len(others), -1)
        own = [scene.ravel() for scene in _mirrored(self._scenes[index][None])]
        colour = np.min([np.median(np.abs(scenes - scene), axis=1) for scene in own], axis=0)
        return [other for other, far in zip(others, colour, strict=True) if far <= self._max_coarse_colour]

    def match(self, first: int, second: int) -> Match:
        """How two clips match: as they are, mirrored, or with either of them cropped alike.

        The first alignment in which they are copies counts, else the best one.
        """
        one, other = _mirrored(self._pictures[first]), self._pictures[second]
        best = Match(-1.0, -255.0)
        for pictures, others in _alignments(one, other):
            match = Match(
                motion=float(np.vdot(_changes(pictures), _changes(others))),
                colour=-float(np.median(np.abs(pictures - others))),
            )
            if self.is_copy(match):
                return match
            best = max(best, match)
        return best


def _nearest(pictures: Sequence[Float32], count: int) -> list[list[int]]:
    """For each clip the others whose coarse motion is alike, as it is or mirrored."""
    if not pictures:
        return []
    coarse = [_halved(clip) for clip in pictures]
    vectors = np.stack([_changes(clip).ravel() for clip in coarse])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    near: list[set[int]] = [set() for _ in coarse]
    for turned in range(3):
        queries = np.stack([_changes(_mirrored(clip)[turned]).ravel() for clip in coarse])
        likeness, found = index.search(queries, min(count + 1, len(coarse)))
        for own, (likely, others) in enumerate(zip(likeness, found, strict=True)):
            near[own] |= {int(other) for other in others[likely >= _COARSE_MOTION]} - {own, -1}
    return [sorted(others) for others in near]


def _halved(pictures: Float32) -> Float32:
    """Pictures [t, h, w, c] at half their size."""
    t, h, w, c = pictures.shape
    return np.asarray(pictures.reshape(t, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4)))


def _alignments(mirrored: Sequence[Float32], other: Float32) -> Iterator[tuple[Float32, Float32]]:
    """Pairs of pictures under which one clip may show the same as the other."""
    yield from ((pictures, other) for pictures in mirrored)
    for margin in _MARGINS:
        inner = _inner(other, margin)
        for pictures in mirrored:
            yield pictures, inner
            yield _inner(pictures, margin), other


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
