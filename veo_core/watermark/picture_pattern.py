"""The keyed patterns of the mark in the picture, as coefficients of a band of spatial frequencies.

A mark is a tile whose side is the picture's short side, repeated along the longer one, so that it scales with
the picture. Its patterns are real combinations of the waves in `band()`: orthonormal to each other, and drawn
from the key, so that to who lacks it they are noise.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from veo_core.watermark.payload import CODED_BITS, INDICES

TILE = 128
"""Samples along the side of a tile."""
SYNCS = INDICES // 2
"""Patterns that say where the mark is; a clip has one of them, as it is or negated, by its key index."""

_LOWEST, _HIGHEST = 6.0, 34.0  # cycles along the side of a tile

Float32 = npt.NDArray[np.float32]
Complex64 = npt.NDArray[np.complex64]


class Band(NamedTuple):
    """The waves that carry the mark: half of them, as the spectrum of a real picture is symmetric.

    rows, columns: where they are in `rfft2` of a tile, int [waves].
    frequency: cycles per tile, float32 [waves].
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    frequency: Float32


class Patterns(NamedTuple):
    """Orthonormal rows: sync [SYNCS, 2 x waves] and bits [CODED_BITS, 2 x waves]."""

    sync: Float32
    bits: Float32


def sync_of(index: int) -> tuple[int, int]:
    """(number, sign) of the sync pattern that says that a clip has this key index."""
    return index // 2, 1 - 2 * (index % 2)


def index_of(number: int, sign: float) -> int:
    """The key index that a sync pattern found with this sign says."""
    return 2 * number + (sign < 0)


@lru_cache
def band() -> Band:
    y, x = np.fft.fftfreq(TILE, 1 / TILE)[:, None], np.arange(TILE // 2 + 1)[None]
    radius = np.hypot(y, x)
    # Column 0 holds both halves of its waves; it is left out.
    rows, columns = np.nonzero((radius >= _LOWEST) & (radius <= _HIGHEST) & (x > 0))
    return Band(rows, columns, radius[rows, columns].astype(np.float32))


@lru_cache(maxsize=2 * INDICES)
def patterns(key: bytes, index: int) -> Patterns:
    """The patterns of a key for clips of a key index; the sync patterns are the same for all of them."""
    drawn = np.concatenate(
        [_drawn(b"sync\0" + key, SYNCS), _drawn(b"bits\0" + bytes([index]) + key, CODED_BITS)]
    )
    rows, triangle = np.linalg.qr(drawn.T)
    rows = (rows * np.sign(np.diag(triangle))).T.astype(np.float32)  # so that each points as it was drawn
    return Patterns(rows[:SYNCS], rows[SYNCS:])


def coefficients(tile: Float32) -> Float32:
    """The band of a tile [TILE, TILE] as real coefficients [2 x waves] with a mean square of 1, or all 0.

    Times a keyed pattern they give a normal value of variance 1 where the tile holds no mark of the key.
    """
    waves = np.fft.rfft2(tile)[band().rows, band().columns]
    real = np.concatenate([waves.real, waves.imag]).astype(np.float32)
    power = float(np.mean(np.square(real)))
    return real / np.sqrt(power, dtype=np.float32) if power > 0 else real


def spectrum_of(real: Float32) -> Complex64:
    """The spectra [..., TILE, TILE / 2 + 1] that have these coefficients [..., 2 x waves] alone."""
    rows, columns, _ = band()
    spectrum = np.zeros((*real.shape[:-1], TILE, TILE // 2 + 1), np.complex64)
    spectrum[..., rows, columns] = real[..., : len(rows)] + 1j * real[..., len(rows) :]
    return spectrum


def _drawn(seed: bytes, count: int) -> Float32:
    """Independent normal values [count, 2 x waves] from SHAKE-256, by the Box-Muller transform."""
    waves = len(band().rows)
    stream = hashlib.shake_256(b"veo picture mark\0" + seed).digest(8 * count * waves)
    uniform = (np.frombuffer(stream, ">u4").reshape(2, count, waves) + 0.5) / 2.0**32
    radius, angle = np.sqrt(-2 * np.log(uniform[0])), 2 * np.pi * uniform[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
