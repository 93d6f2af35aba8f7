"""Figures of picture and sound that need no reference."""

import math

import numpy as np
import numpy.typing as npt

_BT601 = np.array([0.299, 0.587, 0.114], dtype=np.float32)
SILENCE_DBFS = -120.0


def luma(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Brightness after ITU-R BT.601, 0 to 255: RGB [t, h, w, 3] to [t, h, w]."""
    weighted: npt.NDArray[np.float32] = frames.astype(np.float32) @ _BT601
    return weighted


def motion(y: npt.NDArray[np.float32]) -> float:
    """Mean absolute difference of consecutive frames, 0 to 255.

    Args:
        y: luma [t, h, w].
    """
    return float(np.mean(np.abs(np.diff(y, axis=0)))) if len(y) > 1 else 0.0


def flicker(y: npt.NDArray[np.float32]) -> float:
    """Mean absolute distance of each frame from the median of itself and its two neighbours, 0 to 255.

    A pixel that brightens or darkens steadily, or at which an edge passes, adds nothing; one that goes up
    and down again adds the height of the bump. So moving objects hardly count and flicker does.

    Args:
        y: luma [t, h, w].
    """
    if len(y) < 3:
        return 0.0
    before, here, after = y[:-2], y[1:-1], y[2:]
    middle = np.maximum(np.minimum(before, after), np.minimum(np.maximum(before, after), here))
    return float(np.mean(np.abs(here - middle)))


def loudness(samples: npt.NDArray[np.float32]) -> float:
    """Root mean square in dBFS, at least -120; a full-scale sine has -3.01.

    Args:
        samples: [c, l] in [-1, 1].
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


def clipped(samples: npt.NDArray[np.float32]) -> float:
    """Share of samples at or beyond full scale.

    Args:
        samples: [c, l] in [-1, 1].
    """
    return float(np.mean(np.abs(samples) >= 0.999)) if samples.size else 0.0
