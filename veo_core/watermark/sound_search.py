"""Finding the pattern in a sound: its start, its speed with or without its pitch, and the key's index."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from veo_core.watermark.sound_cells import OFFSETS, CellSums, Float64
from veo_core.watermark.sound_pattern import SLOTS, SYNC, Pattern

_STEP = 0.004  # logarithm of the ratio of one speed to the next: 16 ms over 8 s, half a slot to both ends
_SPEEDS = np.exp(_STEP * np.arange(-56, 57))  # 0.80 to 1.25
_FINER = 5  # speeds that a speed is refined to
_SHIFTS = (0.0, 0.5 / OFFSETS)
_SURE = 1e-9  # p-value at which sound at its own speed is not searched for other speeds


class Place(NamedTuple):
    """Where the pattern was found.

    statistic: standard deviations that the sync pattern stands out by. number: of the key's index.
    speed, pitch: how much faster and higher than written. start: slots into the sound, at that speed.
    cells: sums of the contrast, with the pattern's slot 0 first, float64 [SLOTS, BANDS].
    """

    statistic: float
    number: int
    speed: float
    pitch: float
    start: float
    cells: Float64


def hypotheses(patterns: int) -> int:
    """How many places a search can choose from."""
    speeds = (2 * len(_SPEEDS) - 1) * _FINER
    return patterns * speeds * SLOTS * OFFSETS * len(_SHIFTS)


def p_value(statistic: float, tries: int) -> float:
    """Bound of the probability that a sound without the mark shows such a statistic in as many tries.

    Given the sound, the statistic is a weighted sum of the key's random signs, whose tail never exceeds
    3.178 times the normal one (Bentkus and Dzindzalieta, "A tight Gaussian bound for weighted sums of
    Rademacher random variables", 2015); the tries add up (Bonferroni). It holds for any sound.
    """
    return min(1.0, tries * 3.178 * 0.5 * math.erfc(statistic / math.sqrt(2.0)))


def find(cells: CellSums, patterns: Sequence[Pattern]) -> Place:
    """The place at which one of the patterns stands out the most."""
    search = _Search(cells, patterns)
    best = search.at(1.0, 1.0)
    if p_value(best.statistic, hypotheses(len(patterns))) > _SURE:
        speeds = [float(speed) for speed in _SPEEDS if speed != 1.0]
        best = max([best, *(search.at(speed, 1.0) for speed in speeds)], key=_statistic)
        best = max([best, *(search.at(speed, speed) for speed in speeds)], key=_statistic)
    finer = [best.speed * math.exp(_STEP * k / _FINER) for k in range(-(_FINER // 2), _FINER // 2 + 1)]
    nearby = [
        search.at(speed, 1.0 if best.pitch == 1.0 else speed, shift) for speed in finer for shift in _SHIFTS
    ]
    return max([best, *nearby], key=_statistic)


def _statistic(place: Place) -> float:
    return place.statistic


class _Search:
    """Correlates the sound with the sync patterns at all starts at once."""

    def __init__(self, cells: CellSums, patterns: Sequence[Pattern]) -> None:
        self.cells = cells
        carries = np.stack([pattern.role == SYNC for pattern in patterns]).astype(np.float32)
        signs = np.stack([pattern.signs for pattern in patterns]) * carries
        both = np.stack([signs, carries])  # [2, patterns, SLOTS, BANDS]
        # [frequencies, 2, BANDS, patterns], contiguous for the products.
        self.spectra = np.ascontiguousarray(np.fft.rfft(both, axis=2).conj().transpose(2, 0, 3, 1))

    def at(self, speed: float, pitch: float, shift: float = 0.0) -> Place:
        """The best start at one speed."""
        sums = self.cells.folded(speed, pitch, shift)
        along = np.fft.rfft(np.stack([sums, sums**2]).astype(np.float32).transpose(2, 0, 1, 3), axis=0)
        # [SLOTS, 2, OFFSETS, patterns]: agreement and summed squares from each slot on.
        matched, squares = np.fft.irfft(along @ self.spectra, SLOTS, axis=0).transpose(1, 0, 2, 3)
        scores = matched / np.sqrt(np.maximum(squares, 1e-6))
        slot, offset, number = (int(k) for k in np.unravel_index(int(scores.argmax()), scores.shape))
        return Place(
            statistic=float(scores[slot, offset, number]),
            number=number,
            speed=speed,
            pitch=pitch,
            start=shift + offset / OFFSETS + slot,
            cells=np.roll(sums[offset], -slot, axis=0),
        )


def correlations(cells: Float64, pattern: Pattern, bits: int) -> Float64:
    """How each group of cells agrees with the pattern's signs, in standard deviations, float64 [1 + bits].

    First the sync pattern, then the bits; `cells` [SLOTS, BANDS] start with slot 0.
    """
    group = (pattern.role - SYNC).ravel()
    agreed = np.bincount(group, (cells * pattern.signs).ravel(), 1 + bits)
    squares = np.bincount(group, (cells**2).ravel(), 1 + bits)
    return np.asarray(agreed / np.sqrt(np.maximum(squares, 1e-9)))
