"""Shot boundaries from the change of the picture."""

from collections import deque
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

LOOKAHEAD = 2  # steps on each side to which a change is compared


class CutFinder:
    """Finds cuts while pictures come in, `LOOKAHEAD` pictures late.

    A cut is a change between two frames that is large in itself and against its neighbourhood, so that
    neither fast motion nor a flash within a shot counts. Changes are absolute differences of pictures
    reduced to 16x16 cells. Their mean tells a cut to another picture. For a cut to a like picture half the
    mean is enough where their median changes too: what moves alters fewer than half of the cells, and a
    codec that refreshes its picture alters many, but each by little.

    Args:
        threshold: least mean change of a cut, in levels of 255; a tenth of it is the least median change.
        ratio: how many times the largest neighbouring change (of two frames on each side) a cut must be.
    """

    def __init__(self, *, threshold: float = 18.0, ratio: float = 4.0) -> None:
        self._threshold = threshold
        self._ratio = ratio
        self._last: npt.NDArray[np.float32] | None = None
        # Before the first and after the last picture nothing changes.
        self._steps: deque[_Step] = deque([_STILL] * 2 * LOOKAHEAD, maxlen=2 * LOOKAHEAD + 1)

    def push(self, cells: npt.NDArray[np.floating]) -> bool:
        """Take the next picture, reduced to cells [16, 16, c].

        Returns:
            Whether the picture that came `LOOKAHEAD` pictures before this one is the first of a shot.
        """
        cells = cells.astype(np.float32, copy=False)
        step = _STILL if self._last is None else _Step(self._last, cells)
        self._last = cells
        return self._take(step)

    def rest(self) -> list[bool]:
        """The same for the last `LOOKAHEAD` pictures, once all have come."""
        return [self._take(_STILL) for _ in range(LOOKAHEAD)]

    def _take(self, step: "_Step") -> bool:
        self._steps.append(step)
        if len(self._steps) < 2 * LOOKAHEAD + 1:
            return False
        middle = self._steps[LOOKAHEAD]
        if middle.mean < self._threshold / 2:
            return False
        around = [step for index, step in enumerate(self._steps) if index != LOOKAHEAD]
        mean_stands_out = middle.mean >= self._ratio * max(step.mean for step in around)
        if middle.mean >= self._threshold and mean_stands_out:
            return True
        median_stands_out = middle.median >= self._ratio * max(step.median for step in around)
        return middle.median >= self._threshold / 10 and median_stands_out


class _Step:
    """The change from a picture to the next."""

    def __init__(self, before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> None:
        self._before, self._after = before, after
        self.mean = cv2.norm(before, after, cv2.NORM_L1) / before.size

    @cached_property
    def median(self) -> float:
        change = np.abs(self._after - self._before).ravel()
        middle = len(change) // 2
        return float(np.partition(change, middle)[middle])


_STILL = _Step(np.zeros(1, np.float32), np.zeros(1, np.float32))


def thumbnails(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Pictures reduced to [t, side, side, c] by area means."""
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.uint8)
