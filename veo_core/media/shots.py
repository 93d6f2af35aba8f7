"""Shot boundaries from the change of the picture."""

import cv2
import numpy as np
import numpy.typing as npt


def find_cuts(frames: npt.NDArray[np.uint8], *, threshold: float = 18.0, ratio: float = 4.0) -> list[int]:
    """Indices of the first frame of each shot but the first.

    A cut is a change between two frames that is large in itself and against its neighbourhood, so that
    neither fast motion nor a flash within a shot counts. Changes are mean absolute differences of pictures
    reduced to 16x16 cells, which a moving object alters in few cells and a cut in many.

    Args:
        frames: RGB pictures, uint8 [t, h, w, 3].
        threshold: least change of a cut, in levels of 255.
        ratio: how many times the largest neighbouring change (of two frames on each side) a cut must be.
    """
    change = frame_changes(frames)
    cuts = []
    for index, value in enumerate(change):
        neighbours = np.r_[change[max(0, index - 2) : index], change[index + 1 : index + 3]]
        if value >= threshold and value >= ratio * (neighbours.max() if len(neighbours) else 0.0):
            cuts.append(index + 1)
    return cuts


def frame_changes(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean absolute difference of consecutive pictures at 16x16 cells, 0 to 255, float32 [t - 1]."""
    cells = thumbnails(frames, 16).astype(np.float32)
    return np.asarray(np.abs(np.diff(cells, axis=0)).mean(axis=(1, 2, 3)), dtype=np.float32)


def thumbnails(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Pictures reduced to [t, side, side, c] by area means."""
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.uint8)
