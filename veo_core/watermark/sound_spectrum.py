"""Sound at the rate that the mark is written and read at, and its short-time spectrum."""

import math

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Complex64 = npt.NDArray[np.complex64]

RATE = 16_000
"""Samples per second of the analysis: the mark lies below 8 kHz, which resampling to 16 kHz leaves whole."""
WINDOW = 512
HOP = 128
BINS = WINDOW // 2 + 1
BIN_HERTZ = RATE / WINDOW
HOP_SECONDS = HOP / RATE

_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def resampled(audio: Float32, rate: int, new_rate: int) -> Float32:
    """Sound [c, s] at another rate, [c, ceil(s * new_rate / rate)], without delay.

    Band-limited interpolation by the Fourier transform of the whole sound, padded so that its ends do not
    meet.
    """
    if rate == new_rate or audio.shape[1] == 0:
        return audio
    divisor = math.gcd(rate, new_rate)
    down, up = rate // divisor, new_rate // divisor
    length = -(-audio.shape[1] * up // down)
    blocks = 1 << math.ceil(math.log2(audio.shape[1] / down + 1))
    spectrum = np.fft.rfft(audio, blocks * down, axis=1)
    kept = blocks * min(up, down) // 2
    spectrum[:, kept:] = 0.0
    result = np.fft.irfft(spectrum[:, : blocks * up // 2 + 1], blocks * up, axis=1) * (up / down)
    return np.asarray(result[:, :length], np.float32)


def analyse(audio: Float32) -> Complex64:
    """Sound [c, s] at `RATE` to its spectrum, complex [c, frames, BINS]; frame k is centred at k * HOP."""
    padded = np.pad(audio, ((0, 0), (WINDOW // 2, WINDOW // 2 + HOP)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP]
    return np.asarray(np.fft.rfft(frames * _HANN, axis=2), np.complex64)


def synthesise(spectrum: Complex64, samples: int) -> Float32:
    """The sound [c, samples] whose spectrum is nearest in least squares (Griffin and Lim, 1984)."""
    pieces = np.fft.irfft(spectrum, WINDOW, axis=2).astype(np.float32) * _HANN
    squares = np.broadcast_to(_HANN**2, (1, *pieces.shape[1:]))
    sound = _overlap_added(pieces) / np.maximum(_overlap_added(squares), 1e-3)
    return np.asarray(sound[:, WINDOW // 2 : WINDOW // 2 + samples], np.float32)


def _overlap_added(pieces: Float32) -> Float32:
    """[c, frames, WINDOW] to [c, (frames - 1) * HOP + WINDOW]."""
    channels, frames, _ = pieces.shape
    parts = WINDOW // HOP
    blocks = pieces.reshape(channels, frames, parts, HOP)
    total = np.zeros((channels, frames + parts - 1, HOP), np.float32)
    for part in range(parts):
        total[:, part : part + frames] += blocks[:, :, part]
    return total.reshape(channels, -1)
