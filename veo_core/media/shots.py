"""Shot boundaries from the change of the picture."""

from collections import deque

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
        # Mean and median change of each step; before the first and after the last picture nothing changes.
        self._steps: deque[tuple[float, float]] = deque(
            [(0.0, 0.0)] * 2 * LOOKAHEAD, maxlen=2 * LOOKAHEAD + 1
        )

    def push(self, cells: npt.NDArray[np.floating]) -> bool:
        """Take the next picture, reduced to cells [16, 16, c].

        Returns:
            Whether the picture that came `LOOKAHEAD` pictures before this one is the first of a shot.
        """
        cells = cells.astype(np.float32, copy=False)
        change = np.zeros(1) if self._last is None else np.abs(cells - self._last).ravel()
        self._last = cells
        middle = len(change) // 2
        return self._step(float(change.mean()), float(np.partition(change, middle)[middle]))

    def rest(self) -> list[bool]:
        """The same for the last `LOOKAHEAD` pictures, once all have come."""
        return [self._step(0.0, 0.0) for _ in range(LOOKAHEAD)]

    def _step(self, mean: float, median: float) -> bool:
        self._steps.append((mean, median))
        if len(self._steps) < 2 * LOOKAHEAD + 1:
            return False
        middle = self._steps[LOOKAHEAD]
        around = [step for index, step in enumerate(self._steps) if index != LOOKAHEAD]
        mean_stands_out, median_stands_out = (
            middle[kind] >= self._ratio * max(step[kind] for step in around) for kind in (0, 1)
        )
        other = middle[0] >= self._threshold and mean_stands_out
        like = middle[0] >= self._threshold / 2 and middle[1] >= self._threshold / 10 and median_stands_out
        return other or like


def thumbnails(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Pictures reduced to [t, side, side, c] by area means."""
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.uint8)
