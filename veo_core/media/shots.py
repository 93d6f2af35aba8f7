"""Shot boundaries from the change of the picture."""

import cv2
import numpy as np
import numpy.typing as npt


def find_cuts(frames: npt.NDArray[np.uint8], *, threshold: float = 18.0, ratio: float = 4.0) -> list[int]:
    """Indices of the first frame of each shot but the first.

    A cut is a change between two frames that is large in itself and against its neighbourhood, so that
    neither fast motion nor a flash within a shot counts. Changes are absolute differences of pictures
    reduced to 16x16 cells. Their mean tells a cut to another picture. For a cut to a like picture half the
    mean is enough where their median changes too: what moves alters fewer than half of the cells, and a
    codec that refreshes its picture alters many, but each by little.

    Args:
        frames: RGB pictures, uint8 [t, h, w, 3].
        threshold: least mean change of a cut, in levels of 255; a tenth of it is the least median change.
        ratio: how many times the largest neighbouring change (of two frames on each side) a cut must be.
    """
    if len(frames) < 2:
        return []
    cells = thumbnails(frames, 16).astype(np.float32)
    change = np.abs(np.diff(cells, axis=0)).reshape(len(frames) - 1, -1)
    mean, median = change.mean(axis=1), np.median(change, axis=1)
    other = (mean >= threshold) & _stands_out(mean, ratio)
    alike = (mean >= threshold / 2) & (median >= threshold / 10) & _stands_out(median, ratio)
    return [int(index) + 1 for index in np.flatnonzero(other | alike)]


def _stands_out(change: npt.NDArray[np.floating], ratio: float) -> npt.NDArray[np.bool_]:
    """Where a change is `ratio` times those of the two steps before and after it."""
    padded = np.pad(change, 2)
    neighbours = np.max([padded[shift : shift + len(change)] for shift in (0, 1, 3, 4)], axis=0)
    return np.asarray(change >= ratio * neighbours)


def thumbnails(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Pictures reduced to [t, side, side, c] by area means."""
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.uint8)
