"""Shot boundaries from the change of the picture."""

import cv2
import numpy as np
import numpy.typing as npt


def find_cuts(frames: npt.NDArray[np.uint8], *, threshold: float = 18.0, ratio: float = 4.0) -> list[int]:
    """Indices of the first frame of each shot but the first.

    A cut is a change between two frames that is large in itself and against its neighbourhood, so that
    neither fast motion nor a flash within a shot counts. Changes are absolute differences of pictures
    reduced to 16x16 cells. Their mean tells a cut to another picture; their median tells one to a picture
    that is alike as a whole, because what moves alters fewer than half of the cells.

    Args:
        frames: RGB pictures, uint8 [t, h, w, 3].
        threshold: least mean change of a cut, in levels of 255; a tenth of it is the least median change.
        ratio: how many times the largest neighbouring change (of two frames on each side) a cut must be.
    """
    cells = thumbnails(frames, 16).astype(np.float32)
    change = np.abs(np.diff(cells, axis=0)).reshape(len(frames) - 1, -1)
    cuts = _peaks(change.mean(axis=1), threshold, ratio) | _peaks(
        np.median(change, axis=1), threshold / 10, ratio
    )
    return sorted(index + 1 for index in cuts)


def _peaks(change: npt.NDArray[np.float32], least: float, ratio: float) -> set[int]:
    found = set()
    for index, value in enumerate(change):
        neighbours = np.r_[change[max(0, index - 2) : index], change[index + 1 : index + 3]]
        if value >= least and value >= ratio * (neighbours.max() if len(neighbours) else 0.0):
            found.add(index)
    return found


def thumbnails(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Pictures reduced to [t, side, side, c] by area means."""
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.uint8)
