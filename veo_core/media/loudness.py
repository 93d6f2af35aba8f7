"""Integrated loudness by EBU R128 (ITU-R BS.1770-4)."""

import itertools

import numpy as np
import numpy.typing as npt

ABSOLUTE_GATE = -70.0  # LUFS
_RELATIVE_GATE = -10.0  # LU
_BLOCK, _STEP = 0.4, 0.1  # seconds
_RINGING = 0.5  # seconds after which the filters' response is below any use


def integrated_loudness(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Loudness of a whole programme in LUFS; -70, the absolute gate, where nothing is above it.

    The samples are K-weighted in the frequency domain, which needs no loop over samples. Blocks of 0.4 s
    every 0.1 s count that are above the absolute gate and no more than 10 LU below the mean of those.

    Args:
        samples: float32 [c, l] in [-1, 1]; one channel, or left and right.
        rate: samples per second.
    """
    step = round(_STEP * rate)
    steps = samples.shape[1] // step
    per_block = round(_BLOCK / _STEP)
    if steps < per_block:
        return ABSOLUTE_GATE
    weighted = _k_weighted(samples, rate)[:, : steps * step]
    energy = np.square(weighted).reshape(len(samples), steps, step).mean(axis=2, dtype=np.float64).sum(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    blocks = np.maximum((sums[per_block:] - sums[:-per_block]) / per_block, 0.0)
    loud = blocks[_lufs(blocks) > ABSOLUTE_GATE]
    if not loud.size:
        return ABSOLUTE_GATE
    kept = loud[_lufs(loud) > _lufs(loud.mean()) + _RELATIVE_GATE]
    return max(ABSOLUTE_GATE, float(_lufs(kept.mean())))


def _lufs(power: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(-0.691 + 10.0 * np.log10(np.maximum(power, 1e-12)))


def _k_weighted(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    length = samples.shape[1]
    padded = _smooth(length + round(_RINGING * rate))
    response = _k_response(np.asarray(np.fft.rfftfreq(padded), np.float64), rate).astype(np.complex64)
    spectrum = np.fft.rfft(samples, padded, axis=1)
    return np.asarray(np.fft.irfft(spectrum * response, padded, axis=1)[:, :length], np.float32)


def _smooth(least: int) -> int:
    """A length of at least `least` whose only prime factors are 2, 3 and 5: fast to transform."""
    unit = 1 << max(0, least.bit_length() - 6)
    powers = itertools.product(range(8), range(4), range(3))
    candidates = [unit * int(2**a * 3**b * 5**c) for a, b, c in powers]
    return min(length for length in candidates if length >= least)


def _k_response(frequencies: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.complex128]:
    """The K-weighting at frequencies in cycles per sample.

    A high shelf for the head and a high-pass filter, as biquads whose analogue forms reproduce the
    coefficients that BS.1770 lists for 48 kHz at any rate (De Man, "Evaluation of Implementations of the
    EBU R128 Loudness Measurement", 2018).
    """
    z = np.exp(-2j * np.pi * frequencies)
    k, q = np.tan(np.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10.0 ** (3.999843853973347 / 20.0)
    middle = high**0.4996667741545416
    norm = 1.0 + k / q + k * k
    shelf = _biquad(
        z,
        [
            (high + middle * k / q + k * k) / norm,
            2.0 * (k * k - high) / norm,
            (high - middle * k / q + k * k) / norm,
        ],
        [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm],
    )
    k, q = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    norm = 1.0 + k / q + k * k
    high_pass = _biquad(z, [1.0, -2.0, 1.0], [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm])
    return shelf * high_pass


def _biquad(
    z: npt.NDArray[np.complex128], numerator: list[float], denominator: list[float]
) -> npt.NDArray[np.complex128]:
    above, below = ((c * z + b) * z + a for a, b, c in (numerator, denominator))
    return np.asarray(above / below)
