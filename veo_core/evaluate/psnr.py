"""How near two pictures are."""

import math

import numpy as np
import numpy.typing as npt

HIGHEST = 100.0
"""Decibels of equal pictures, whose noise is zero."""


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two pictures of the same shape in dB, at most `HIGHEST`."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return min(HIGHEST, 10.0 * math.log10(255.0**2 / error)) if error else HIGHEST
