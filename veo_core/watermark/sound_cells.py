"""What a sound says about each cell of the pattern: its local contrast of loudness, summed over the cell."""

import math

import numpy as np
import numpy.typing as npt

from veo_core.watermark.sound_pattern import BAND_HERTZ, BANDS, LOWEST, SLOT_SECONDS, SLOTS
from veo_core.watermark.sound_spectrum import BIN_HERTZ, HOP_SECONDS, Complex64

Float64 = npt.NDArray[np.float64]

OFFSETS = 4
"""Starts of a slot that are tried, evenly spaced over its length."""

_AROUND = (17, 25)  # frames and bins of the neighbourhood that a point is compared with
_VALLEY = 0.03  # share of the neighbourhood's power below which a point's own power says little
_FAINT = 1e-7  # share of the sound's mean power below which a neighbourhood says little
_LIMIT = 2.0  # bound of the contrast in its own standard deviations
_QUIET = 0.01  # share of the mean loudness at which a frame counts half


def band_bins() -> npt.NDArray[np.intp]:
    """The bins of the spectrum that the bands cover, in order; each band has the same number of them."""
    first = math.ceil(LOWEST / BIN_HERTZ)
    return np.arange(first, first + BANDS * round(BAND_HERTZ / BIN_HERTZ))


def contrast(spectrum: Complex64) -> Float64:
    """The local contrast of the logarithmic spectrum, float64 [frames, bins].

    The power of all channels is divided by its local mean, compressed by a logarithm that is blind to
    valleys, freed from its own local mean, bounded, and weighed down where the sound is quiet.
    """
    power = np.square(np.abs(spectrum)).sum(axis=0).astype(np.float64)
    loudness = power[:, band_bins()].mean(axis=1)
    mean = float(loudness.mean())
    if mean <= 0.0:
        return np.zeros_like(power)
    level = np.log(power / (_local_mean(power) + _FAINT * mean) + _VALLEY)
    level -= _local_mean(level)
    level /= max(float(level.std()), 1e-9)
    weight = loudness / (loudness + _QUIET * mean)
    return np.asarray(np.clip(level, -_LIMIT, _LIMIT) * weight[:, None])


def _local_mean(values: Float64) -> Float64:
    """Mean over the neighbourhood of each point [t, f], cut off at the edges."""
    for axis, width in enumerate(_AROUND):
        count, half = values.shape[axis], width // 2
        sums = np.concatenate([np.zeros_like(values.take([0], axis)), values.cumsum(axis)], axis)
        index = np.arange(count)
        high, low = np.minimum(index + half + 1, count), np.maximum(index - half, 0)
        widths = (high - low).reshape([-1, 1] if axis == 0 else [1, -1])
        values = (sums.take(high, axis) - sums.take(low, axis)) / widths
    return values


class CellSums:
    """Sums of a sound's contrast over the cells of the pattern, at any speed."""

    def __init__(self, evidence: Float64) -> None:
        """`evidence`: contrast [frames, bins]."""
        self.frames, self._bins = evidence.shape
        self._up_to_bin = np.pad(evidence.cumsum(axis=1), ((0, 0), (1, 0)))
        self._pitch = math.nan
        self._up_to_frame = np.zeros((self.frames + 1, BANDS))

    def folded(self, speed: float, pitch: float, shift: float = 0.0) -> Float64:
        """Cell sums over one period, float64 [OFFSETS, SLOTS, BANDS].

        In row o, slot 0 starts `shift + o / OFFSETS` slots into the sound, as long as slots are at `speed`.

        Args:
            speed: how much faster than written the sound is.
            pitch: how much higher than written it is.
            shift: in slots, from 0 up to a step of the offsets.
        """
        self._sum_bands(pitch)
        steps = OFFSETS * SLOTS
        hops = SLOT_SECONDS / HOP_SECONDS / speed / OFFSETS  # frames to a step
        periods = math.ceil(self.frames / (hops * steps))
        at = np.minimum((shift * OFFSETS + np.arange(periods * steps + 1)) * hops, self.frames)
        low = np.minimum(at.astype(np.intp), self.frames - 1)
        start = self._up_to_frame[low]
        up_to = start + (at - low)[:, None] * (self._up_to_frame[low + 1] - start)
        parts = np.diff(up_to, axis=0).reshape(periods, steps, BANDS).sum(axis=0)
        around = np.concatenate([parts, parts[:OFFSETS]])
        rows = [around[offset : offset + steps].reshape(SLOTS, OFFSETS, BANDS) for offset in range(OFFSETS)]
        return np.stack([row.sum(axis=1) for row in rows])

    def _sum_bands(self, pitch: float) -> None:
        """Set the contrast summed over each band and up to each frame, [frames + 1, BANDS]."""
        if pitch == self._pitch:
            return
        edges = (LOWEST + BAND_HERTZ * np.arange(BANDS + 1)) * pitch / BIN_HERTZ + 0.5
        at = np.clip(edges, 0, self._bins)
        low = np.minimum(at.astype(np.intp), self._bins - 1)
        start = self._up_to_bin[:, low]
        bands = np.diff(start + (at - low) * (self._up_to_bin[:, low + 1] - start), axis=1)
        self._up_to_frame[1:] = bands.cumsum(axis=0)
        self._pitch = pitch
