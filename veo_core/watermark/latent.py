"""The mark in a generator's initial noise: the payload in the signs of unit noise, as a keyed sequence.

The idea is that of Gaussian Shading (Yang et al., 2404.04956): a sign that depends on key and bit is as
likely +1 as -1, so marked noise is distributed as any other and costs no quality. Each bit is repeated over
the whole clip; a share of the values carries a sync pattern, which says whether there is a mark at all.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_SYNC_EVERY = 4
"""One value in so many carries the sync pattern."""


@dataclass(frozen=True)
class NoiseReading:
    """What recovered noise says.

    soft: how far each bit stands out, positive for +1, in standard deviations, float64 [n].
    statistic: standard deviations that the sync pattern stands out by. p_value: of that without a mark.
    """

    soft: Float64
    statistic: float
    p_value: float


def noise_signs(
    count: int, bits: npt.NDArray[np.integer], key: bytes, index: int = 0
) -> npt.NDArray[np.int8]:
    """The signs that `count` values of noise are to have, +1 or -1, int8 [count].

    Args:
        count: values of one clip's noise.
        bits: the coded payload, +1 or -1, [n].
        key: the secret.
        index: key index of the clip.
    """
    signs, group = _sequence(count, len(bits), key, index)
    return np.asarray(signs * np.r_[1, bits][group], np.int8)


def read_noise(noise: Float64, bits: int, key: bytes, index: int = 0) -> NoiseReading:
    """The payload in recovered noise.

    Values vote with their size, because those far from zero keep their sign the best.

    Args:
        noise: values in the order of `noise_signs`, float64 [count].
        bits: length of the coded payload.
        key: the secret.
        index: key index of the clip.
    """
    signs, group = _sequence(len(noise), bits, key, index)
    agreed = np.bincount(group, noise * signs, 1 + bits)
    squares = np.bincount(group, noise**2, 1 + bits)
    scores = agreed / np.sqrt(np.maximum(squares, 1e-12))
    # As in sound: a weighted sum of random signs has a tail of at most 3.178 times the normal one.
    p_value = min(1.0, 3.178 * 0.5 * math.erfc(scores[0] / math.sqrt(2.0)))
    return NoiseReading(scores[1:], float(scores[0]), p_value)


def _sequence(
    count: int, bits: int, key: bytes, index: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.intp]]:
    """A keyed sign for each value, and what it carries: 0 the sync pattern, k bit k - 1."""
    seed = b"veo noise mark\0" + index.to_bytes(4, "big") + bits.to_bytes(4, "big") + key
    words = np.frombuffer(hashlib.shake_256(seed).digest(8 * 2 * count), ">u8").reshape(2, count)
    signs = np.where(words[0] >> np.uint64(63), 1, -1).astype(np.int8)
    carriers = np.arange(count)
    in_turn = np.where(carriers % _SYNC_EVERY == 0, 0, 1 + (carriers - carriers // _SYNC_EVERY - 1) % bits)
    return signs, in_turn[np.argsort(words[1])]
