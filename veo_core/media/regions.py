"""Making boxes of pictures unrecognisable, through the time between the pictures in which they were seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

# Cells along the longer side of a box: a face or a plate of so few cannot be told from another one.
CELLS = 4

_SAME_SIZE = 2.0  # ratio of sides up to which two boxes can be those of one thing
_REACH = 2.0  # box sides that a thing may move between two sightings
_SWERVE = 0.15  # share of its motion by which a thing may leave the straight line


@dataclass(frozen=True)
class Box:
    """A box in shares of the picture's width and height."""

    x0: float
    y0: float
    x1: float
    y1: float

    def grown(self, padding: float, dx: float = 0.0, dy: float = 0.0) -> "Box":
        """The box with a margin on every side: a share of its size, and further shares of the picture."""
        x = padding * (self.x1 - self.x0) + dx
        y = padding * (self.y1 - self.y0) + dy
        return Box(max(0.0, self.x0 - x), max(0.0, self.y0 - y), min(1.0, self.x1 + x), min(1.0, self.y1 + y))

    def towards(self, other: "Box", share: float) -> "Box":
        """The box a share of the way to another one."""
        mine, theirs = self._corners, other._corners
        return Box(*(a + share * (b - a) for a, b in zip(mine, theirs, strict=True)))

    @property
    def _corners(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1


def boxes_over_time(
    seen: Sequence[Sequence[Box]], seen_at: Sequence[int], frames: int, *, padding: float
) -> list[list[Box]]:
    """The boxes to hide in each frame.

    A thing that is seen in two neighbouring pictures is taken to move straight from one place to the other.
    One that is seen in one of them only may have come or gone at any time between: it is hidden where it
    was seen until the other.

    Args:
        seen: boxes in each picture that was looked at.
        seen_at: the frame that each of these pictures is, in order.
        frames: number of frames.
        padding: margin on each side, as a share of the box's size.
    """
    hidden: list[list[Box]] = [[] for _ in range(frames)]
    for (here, start), (there, end) in pairwise(zip(seen, seen_at, strict=True)):
        moves = _matched(here, there)
        alone = [box for i, box in enumerate(here) if i not in moves]
        alone += [box for j, box in enumerate(there) if j not in moves.values()]
        for frame in range(start, end + 1):
            hidden[frame] += [box.grown(padding) for box in alone]
        for frame in range(start, end):
            share = (frame - start) / (end - start)
            hidden[frame] += [_moving(here[i], there[j], share, padding) for i, j in moves.items()]
    for frame in (*range(seen_at[0]), *range(seen_at[-1], frames)):
        hidden[frame] += [box.grown(padding) for box in seen[0 if frame < seen_at[0] else -1]]
    return hidden


def _moving(one: Box, other: Box, share: float, padding: float) -> Box:
    dx, dy = (_SWERVE * abs(b - a) for a, b in zip(_centre(one), _centre(other), strict=True))
    return one.towards(other, share).grown(padding, dx, dy)


def _matched(here: Sequence[Box], there: Sequence[Box]) -> dict[int, int]:
    """Which box is which in the next picture: the nearest of about the same size, one to one."""
    pairs = sorted(
        (float(np.hypot(*np.subtract(_centre(one), _centre(other)))), i, j)
        for i, one in enumerate(here)
        for j, other in enumerate(there)
        if _alike(one, other)
    )
    matched: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in matched and j not in matched.values():
            matched[i] = j
    return matched


def _alike(one: Box, other: Box) -> bool:
    """Whether two boxes can be those of one thing."""
    sizes = [(box.x1 - box.x0, box.y1 - box.y0) for box in (one, other)]
    ratios = [max(a, b) <= _SAME_SIZE * min(a, b) for a, b in zip(*sizes, strict=True)]
    moved = np.abs(np.subtract(_centre(one), _centre(other)))
    return all(ratios) and bool((moved <= _REACH * np.max(sizes, axis=0)).all())


def _centre(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def pixelate(picture: npt.NDArray[np.uint8], box: Box) -> None:
    """Replace a box of a picture, in place, by the means of at most CELLS x CELLS cells.

    Args:
        picture: uint8 [h, w] or [h, w, c]; a plane with fewer samples covers the same part of the picture.
        box: what to hide; its edges are rounded outwards to even samples.
    """
    height, width = picture.shape[:2]
    top, bottom = _span(box.y0, box.y1, height)
    left, right = _span(box.x0, box.x1, width)
    inside = picture[top:bottom, left:right]
    if not inside.size:
        return
    side = max(2, -(-max(inside.shape[:2]) // CELLS))
    for y in range(0, inside.shape[0], side):
        for x in range(0, inside.shape[1], side):
            cell = inside[y : y + side, x : x + side]
            cell[...] = cell.mean(axis=(0, 1)).round().astype(np.uint8)


def _span(start: float, stop: float, length: int) -> tuple[int, int]:
    first = 2 * int(np.floor(start * length / 2))
    last = 2 * int(np.ceil(stop * length / 2))
    return max(0, first), min(length, last)
