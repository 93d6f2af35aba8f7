"""Reading the mark in pictures that may be coded, scaled, cropped, stretched, mirrored, or cut in time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.watermark.chance import energy_tail, joined, normal_tail
from veo_core.watermark.payload import CODED_BITS
from veo_core.watermark.picture_pattern import SYNCS, TILE, coefficients, index_of, patterns, spectrum_of
from veo_core.watermark.picture_residual import SMALLEST_SIDE, luma_of, residual, tile_size

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

SCALES = 0.5 * np.exp(0.012 * np.arange(84))
"""Short sides of a cropped or padded picture that are tried, in those of the marked one: 0.5 to 1.35."""
ASPECTS = (16 / 9, 7 / 4, 4 / 3, 1.0, 3 / 4, 4 / 7, 9 / 16)
"""Width to height of the marked picture that is tried where the picture read has another."""

_LOOKED_AT = 240
_CERTAIN = 1e-9


@dataclass(frozen=True)
class PictureReading:
    """What the detector found in a clip's pictures.

    soft: how far each sign of the code stands out, in standard deviations, float64 [CODED_BITS].
    statistic: standard deviations that the sync pattern stands out by.
    p_value: bound of the probability of such a reading in pictures without the mark, all places that were
        tried counted.
    index: the key index of the pattern.
    second: standard deviations that another sync pattern stands out by at the same place, as where marks of
        several clips lie over each other.
    scale: short side of what is seen, in short sides of what was marked.
    mirrored: whether left and right are exchanged.
    shift: samples of a tile that were cut off at the top and at the left, after mirroring.
    """

    soft: Float64
    statistic: float
    p_value: float
    index: int
    second: float
    scale: float
    mirrored: bool
    shift: tuple[int, int]


@dataclass(frozen=True)
class _Place:
    """Where a sync pattern stands out; `tile` is what is seen there, moved to where the mark was written."""

    z: float
    number: int
    scale: float
    mirrored: bool
    shift: tuple[int, int]
    seen: Float32

    @property
    def tile(self) -> Float32:
        return np.roll(self.seen, (-self.shift[0], -self.shift[1]), axis=(0, 1))


def read_picture(frames: UInt8, key: bytes) -> PictureReading:
    """The mark of a key in RGB pictures, uint8 [t, h, w, 3]; up to 240 of them are looked at."""
    if min(frames.shape[1:3]) < SMALLEST_SIDE or not len(frames):
        return PictureReading(np.zeros(CODED_BITS), 0.0, 1.0, 0, 0.0, 1.0, False, (0, 0))
    return read_residual(residual_of(frames), key)


def residual_of(frames: UInt8) -> Float32:
    """What `read_residual` takes of RGB pictures, uint8 [t, h, w, 3]."""
    looked_at = np.linspace(0, len(frames) - 1, min(_LOOKED_AT, len(frames))).round().astype(int)
    return residual(np.stack([luma_of(frames[number]) for number in looked_at]))


def read_residual(seen: Float32, key: bytes) -> PictureReading:
    """The mark of a key in the residual of a clip.

    The p-value joins those of the sync pattern, which finds the place, and of the energy of the signs read
    there, which is independent of it, by Fisher's method. Against a pattern drawn from an unknown key both
    statistics of any picture are those of normal noise.
    """
    sync = patterns(key, 0).sync
    place = _unmoved(seen, sync)
    p_sync = _p_of(place.z, 2 * SYNCS)
    if p_sync > _CERTAIN:
        moved, tried = _searched(seen, sync)
        if _p_of(moved.z, tried) < p_sync:
            place, p_sync = moved, _p_of(moved.z, tried)
    p_sync = min(1.0, 2.0 * p_sync)  # two searches
    index = index_of(place.number, place.z)
    there = coefficients(place.tile)
    soft = (patterns(key, index).bits @ there).astype(np.float64)
    p_bits = energy_tail(float(np.square(soft).sum()), CODED_BITS)
    return PictureReading(
        soft=soft,
        statistic=abs(place.z),
        p_value=joined(p_sync, p_bits),
        index=index,
        second=float(np.abs(np.delete(sync @ there, place.number)).max()),
        scale=place.scale,
        mirrored=place.mirrored,
        shift=place.shift,
    )


def folded(picture: Float32) -> Float32:
    """The sum of a picture's tiles, float32 [TILE, TILE]."""
    rows, columns = (-(-side // TILE) for side in picture.shape)
    padded = np.pad(picture, ((0, rows * TILE - picture.shape[0]), (0, columns * TILE - picture.shape[1])))
    return np.asarray(padded.reshape(rows, TILE, columns, TILE).sum(axis=(0, 2)), dtype=np.float32)


def _p_of(z: float, tried: int) -> float:
    """Bonferroni's bound for the largest of so many normal values."""
    return min(1.0, tried * normal_tail(abs(z)))


def _unmoved(seen: Float32, sync: Float32) -> _Place:
    tile = folded(seen)
    z = sync @ coefficients(tile)
    number = int(np.argmax(np.abs(z)))
    return _Place(float(z[number]), number, 1.0, False, (0, 0), tile)


def _searched(seen: Float32, sync: Float32) -> tuple[_Place, int]:
    """The place where a sync pattern stands out the most, of all shifts, and how many were tried."""
    matched = np.conj(spectrum_of(sync))
    in_band = spectrum_of(np.ones(sync.shape[1], np.float32)).real > 0
    best, tried = None, 0
    for tile, scale, mirrored in _views(seen):
        spectrum = np.fft.rfft2(tile) * in_band
        root = np.sqrt(np.square(np.abs(spectrum)).sum() / sync.shape[1])
        if not root:
            continue
        z = np.fft.irfft2(spectrum * matched, s=(TILE, TILE)) * np.float32(TILE * TILE / 2 / root)
        number, row, column = np.unravel_index(np.argmax(np.abs(z)), z.shape)
        found = float(z[number, row, column])
        tried += 2 * z.size
        if best is None or abs(found) > abs(best.z):
            best = _Place(found, int(number), scale, mirrored, (int(row), int(column)), tile)
    return best or _unmoved(seen, sync), max(tried, 1)


def _views(seen: Float32) -> Iterator[tuple[Float32, float, bool]]:
    """What the marked picture's tile may have been: (tile, scale, mirrored)."""
    rows, columns = seen.shape
    for mirrored in (False, True):
        picture = seen[:, ::-1] if mirrored else seen
        for scale in SCALES.tolist():
            yield folded(_resized(picture, round(rows * scale), round(columns * scale))), scale, mirrored
        for aspect in ASPECTS:
            size = tile_size(1.0, aspect)
            if abs(math.log(aspect * rows / columns)) > 0.03:
                yield folded(_resized(picture, *size)), 1.0, mirrored


def _resized(picture: Float32, rows: int, columns: int) -> Float32:
    method = cv2.INTER_AREA if rows < picture.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=method), dtype=np.float32)
