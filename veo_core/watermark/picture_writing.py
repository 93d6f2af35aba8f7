"""Writing the mark into pictures: keyed spread spectrum in luma, constant over a clip.

Spread spectrum after Cox, Kilian, Leighton and Shamoon, "Secure Spread Spectrum Watermarking for Multimedia",
1997, with each bit's strength set from what the detector reads of it in this very clip, as in Malvar and
Florencio, "Improved Spread Spectrum", 2003.
"""

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.watermark.payload import CODED_BITS
from veo_core.watermark.picture_pattern import TILE, band, coefficients, patterns, spectrum_of, sync_of
from veo_core.watermark.picture_reading import folded
from veo_core.watermark.picture_residual import SMALLEST_SIDE, deviation_of, luma_of, residual

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

PSNR_DB = 40.0
"""The least peak signal-to-noise ratio of a marked clip against the clip."""

_AIMED_PSNR_DB = 40.15
_SYNC_STRENGTH = 5.0  # times that of a bit
_SLOPE = 0.3  # amplitudes fall with frequency to this power
_LEAST_MASK, _MOST_MASK, _MASK_DEVIATION = 1.0, 2.0, 12.0
_ROUNDS, _LOOKED_AT = 3, 24
_WEAKEST, _STRONGEST = 0.3, 3.0  # of a pattern, times the usual


def embed_picture(frames: UInt8, signs: npt.NDArray[np.integer], key: bytes, index: int) -> UInt8:
    """Pictures with a mark; their PSNR against those given is at least `PSNR_DB`.

    Args:
        frames: RGB pictures, uint8 [t, h, w, 3].
        signs: the coded payload, +1 or -1, [CODED_BITS].
        key: the secret.
        index: key index of the clip.

    Raises:
        UsageError: the pictures are too small.
    """
    height, width = frames.shape[1:3]
    if min(height, width) < SMALLEST_SIDE:
        raise UsageError(
            f"pictures of {height}x{width} are too small for a watermark; "
            f"give it at least {SMALLEST_SIDE} pixels a side"
        )
    looked_at = frames[np.linspace(0, len(frames) - 1, min(_LOOKED_AT, len(frames))).round().astype(int)]
    luma = np.stack([luma_of(frame) for frame in looked_at])
    masks = np.stack([_mask(picture) for picture in luma])
    pattern = _adapted(luma, masks, signs, key, index)
    full = [np.square(_scaled(mask * pattern, height, width)).mean() for mask in masks]
    allowed = 255.0**2 * 10 ** (-PSNR_DB / 10)
    strength = float(np.sqrt(255.0**2 * 10 ** (-_AIMED_PSNR_DB / 10) / np.mean(full)))
    while True:
        marked, error = _marked(frames, pattern, strength)
        if error <= allowed:
            return marked
        strength *= 0.99 * float(np.sqrt(allowed / error))


def _adapted(
    luma: Float32, masks: Float32, signs: npt.NDArray[np.integer], key: bytes, index: int
) -> Float32:
    """The mark [rows, columns] before its mask and strength, with all its signs as easy to read."""
    number, sign = sync_of(index)
    drawn = patterns(key, index)
    rows = np.concatenate([drawn.sync[number, None], drawn.bits])
    wanted = np.concatenate([[sign], signs])
    usual = np.where(np.arange(CODED_BITS + 1) == 0, _SYNC_STRENGTH, 1.0)
    level = 255.0 * 10 ** (-_AIMED_PSNR_DB / 20)
    drive = usual
    for _ in range(_ROUNDS):
        mark = masks * _repeated(drive * wanted, rows, luma.shape[1:])
        mark *= level / np.sqrt(np.mean(np.square(mark)))
        tile = folded(residual(np.clip(luma + mark, 0, 255)))
        read = rows @ coefficients(tile) * wanted
        aim = usual * max(float(read[1:].mean()), 0.1)
        drive = np.clip(
            drive * np.clip(1.0 + 0.6 * (aim - read) / aim, 0.5, 2.0), _WEAKEST * usual, _STRONGEST * usual
        )
    return _repeated(drive * wanted, rows, luma.shape[1:])


def _repeated(weights: Float64, rows: Float32, shape: tuple[int, ...]) -> Float32:
    """The sum of patterns as a picture of that shape, with lower frequencies stronger."""
    fall = np.tile(band().frequency ** np.float32(-_SLOPE), 2)
    tile = np.fft.irfft2(spectrum_of((weights.astype(np.float32) @ rows) * fall), s=(TILE, TILE))
    copies = [-(-side // TILE) for side in shape]
    return np.tile(tile / tile.std(), copies)[: shape[0], : shape[1]].astype(np.float32)


def _mask(luma: Float32) -> Float32:
    """How strong the mark may be at each sample: stronger where texture hides it."""
    mask = np.clip(_LEAST_MASK + deviation_of(luma) / _MASK_DEVIATION, _LEAST_MASK, _MOST_MASK)
    return np.asarray(mask, dtype=np.float32)


def _scaled(mark: Float32, height: int, width: int) -> Float32:
    method = cv2.INTER_CUBIC if height >= mark.shape[0] else cv2.INTER_AREA
    return np.asarray(cv2.resize(mark, (width, height), interpolation=method), dtype=np.float32)


def _marked(frames: UInt8, pattern: Float32, strength: float) -> tuple[UInt8, float]:
    """The marked pictures and their mean squared error."""
    marked, error = np.empty_like(frames), 0.0
    height, width = frames.shape[1:3]
    for number, frame in enumerate(frames):
        levels = np.rint(_scaled(strength * _mask(luma_of(frame)) * pattern, height, width))
        more, less = (cv2.merge([np.maximum(part, 0).astype(np.uint8)] * 3) for part in (levels, -levels))
        marked[number] = cv2.subtract(cv2.add(frame, more), less)
        error += cv2.norm(marked[number], frame, cv2.NORM_L2SQR)
    return marked, error / frames.size
