"""What is left of a clip's pictures when their content is taken out as far as possible."""

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.watermark.picture_pattern import TILE

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

SMALLEST_SIDE = 16
"""Pixels of the short side of the smallest picture that can carry a mark."""

_WIDEST = 4  # times the short side; what is longer is squeezed
_WINDOW = 5.0  # standard deviation of the Gaussian windows, samples
_LEAST_DEVIATION = 1.0  # levels
_CLIP = 2.0
_LEAST_POWER = 0.01  # of the mean


def tile_size(height: float, width: float) -> tuple[int, int]:
    """(rows, columns) of a picture of these proportions whose short side has `TILE` samples."""
    scale = TILE / min(height, width)
    return min(_WIDEST * TILE, round(height * scale)), min(_WIDEST * TILE, round(width * scale))


def luma_of(frame: UInt8) -> Float32:
    """Luma of an RGB picture [h, w, 3] with a short side of `TILE` samples, float32 [rows, columns]."""
    height, width = frame.shape[:2]
    rows, columns = tile_size(height, width)
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    method = cv2.INTER_AREA if height >= rows else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, (columns, rows), interpolation=method), dtype=np.float32)


def residual(luma: Float32) -> Float32:
    """The mean over time of what is high in frequency, relative to how much of it there is around.

    Args:
        luma: float32 [t, rows, columns].

    Returns:
        float32 [rows, columns], whitened: all frequencies have about the same power.
    """
    total = np.zeros(luma.shape[1:], np.float32)
    for picture in luma:
        high, deviation = _high_and_deviation(picture)
        total += np.clip(high / (deviation + _LEAST_DEVIATION), -_CLIP, _CLIP)
    return _whitened(total)


def deviation_of(luma: Float32) -> Float32:
    """Standard deviation of what is high in frequency around each sample of a picture, levels."""
    return _high_and_deviation(luma)[1]


def _high_and_deviation(picture: Float32) -> tuple[Float32, Float32]:
    high = picture - _blurred(picture)
    return high, np.asarray(cv2.sqrt(_blurred(high * high)), dtype=np.float32)


def _blurred(picture: Float32) -> Float32:
    blurred = cv2.GaussianBlur(picture, (0, 0), _WINDOW, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32)


def _whitened(picture: Float32) -> Float32:
    """The picture with its spectrum divided by the root of its power, smoothed over 5 by 5 waves."""
    spectrum = np.fft.rfft2(picture)
    power = cv2.blur(np.square(np.abs(spectrum)), (5, 5), borderType=cv2.BORDER_REFLECT_101)
    floor = _LEAST_POWER * float(power.mean())
    if not floor:
        return np.zeros_like(picture)
    return np.fft.irfft2(spectrum / np.sqrt(power + floor), s=picture.shape).astype(np.float32)
