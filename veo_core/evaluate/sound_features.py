"""Features of sound that need no network: its log-mel spectrum, summed up over short windows."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BANDS = 32
DIMENSIONS = 2 * BANDS
_LOWEST, _HIGHEST = 40.0, 8000.0  # Hz; sounds of lower rates leave the upper bands at the floor
_FRAME, _HOP = 0.032, 0.016  # seconds
_WINDOW = 30  # frames of a window, about half a second
_FLOOR = 1e-10


def log_mel(samples: npt.NDArray[np.float32], rate: int) -> Floats:
    """Decibels of power in 32 mel bands from 40 Hz to 8 kHz, [t, 32]; [0, 32] of less than one frame.

    Hann frames of 32 ms every 16 ms; triangular filters, equally spaced on the HTK mel scale.

    Args:
        samples: float32 [l] in [-1, 1].
        rate: samples per second.
    """
    size, hop = round(_FRAME * rate), round(_HOP * rate)
    if len(samples) < size:
        return np.zeros((0, BANDS))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    window = np.hanning(size + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / np.sum(window) ** 2
    return np.asarray(10.0 * np.log10(np.maximum(power @ _filters(size, rate).T, _FLOOR)))


def sound_features(samples: npt.NDArray[np.float32], rate: int) -> Floats:
    """Mean and standard deviation over time of each mel band in windows of half a second, [n, 64].

    A rest of at least half a window is a window of its own.
    """
    mel = log_mel(samples, rate)
    starts = range(0, max(1, len(mel) - _WINDOW // 2), _WINDOW)
    pieces = [mel[start : start + _WINDOW] for start in starts if len(mel) - start >= _WINDOW // 2]
    if not pieces:
        return np.zeros((0, DIMENSIONS))
    return np.stack([np.concatenate([piece.mean(axis=0), piece.std(axis=0)]) for piece in pieces])


@lru_cache(maxsize=8)
def _filters(size: int, rate: int) -> Floats:
    """Triangular filters of unit peak, [bands, size / 2 + 1]."""
    edges = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), BANDS + 2)
    hertz = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    grid = np.fft.rfftfreq(size, 1.0 / rate)
    left, centre, right = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    rising, falling = (grid - left) / (centre - left), (right - grid) / (right - centre)
    return np.asarray(np.maximum(np.minimum(rising, falling), 0.0))


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))
