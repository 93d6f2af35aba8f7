"""Flicker of a picture that may move."""

import numpy as np
import numpy.typing as npt


def flicker(luma: npt.NDArray[np.uint8]) -> float:
    """Mean absolute distance of each frame from the median of itself and its two neighbours, 0 to 255.

    A pixel that brightens or darkens steadily, or at which an edge passes, adds nothing; one that goes up
    and down again adds the height of the bump. So moving objects hardly count and flicker does.

    Args:
        luma: [t, h, w].
    """
    if len(luma) < 3:
        return 0.0
    before, here, after = luma[:-2], luma[1:-1], luma[2:]
    median = np.maximum(np.minimum(before, after), np.minimum(np.maximum(before, after), here))
    return float(np.mean(np.abs(here.astype(np.int16) - median)))
