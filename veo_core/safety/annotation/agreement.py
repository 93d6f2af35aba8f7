"""How far raters agree with each other, and the judge with them: Krippendorff's alpha.

Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): 1 is full agreement, 0 what chance gives;
he asks for 0.8, and for 0.667 where tentative conclusions will do.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from veo_core.evaluate.intervals import NO_DATA, Estimate
from veo_core.records.base import Record
from veo_core.safety.annotation.readings import Reading
from veo_core.safety.people import PRESENTATIONS, TONES, PersonReading

Scale = Literal["nominal", "ordinal"]
Floats = npt.NDArray[np.float64]

JUDGE = "the judge"

_RESAMPLES = 2000


class Agreement(Record):
    """Alpha between raters in one attribute, with a bootstrap 95 % interval; None where it is not defined."""

    attribute: str
    between: tuple[str, ...]
    alpha: float | None
    ci_low: float | None
    ci_high: float | None
    clips: int


def agreements(readings: Sequence[Reading], judged: Sequence[PersonReading]) -> list[Agreement]:
    """Agreement of all raters with each other, then of the judge with each one, in both attributes."""
    raters: dict[str, list[PersonReading]] = {}
    for reading in readings:
        raters.setdefault(reading.rater, []).append(reading)
    groups = [raters] if len(raters) > 1 else []
    if judged:
        groups += [{JUDGE: list(judged), name: rows} for name, rows in raters.items()]
    return [row for group in groups for row in _of(group)]


def krippendorff(units: Iterable[Sequence[int]], values: int, scale: Scale, *, seed: int = 0) -> Estimate:
    """Alpha with a percentile bootstrap interval over units.

    Args:
        units: the values, from 0 on, that raters gave each unit; those who gave none are left out.
        values: how many values the scale has, in its order.
        scale: "ordinal" weighs a difference by how many ratings lie between.
        seed: of the resampling.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    if not pairable:
        return NO_DATA
    coincidences = np.stack([_coincidences(unit, values) for unit in pairable])
    count = len(pairable)
    value = _alpha(coincidences.sum(axis=0, keepdims=True), scale)[0]
    if np.isnan(value):
        return Estimate(None, None, None, count)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=_RESAMPLES)
    resampled = _alpha(np.tensordot(drawn.astype(np.float64), coincidences, axes=1), scale)
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return Estimate(float(value), float(low), float(high), count)


def _of(group: dict[str, list[PersonReading]]) -> list[Agreement]:
    tones: dict[str, list[int]] = {}
    presentations: dict[str, list[int]] = {}
    for row in (row for rows in group.values() for row in rows):
        if row.skin_tone:
            tones.setdefault(row.clip_id, []).append(row.skin_tone - 1)
        if row.presentation != "unknown":
            presentations.setdefault(row.clip_id, []).append(PRESENTATIONS.index(row.presentation))
    found = {
        "skin_tone": krippendorff(tones.values(), len(TONES), "ordinal"),
        "gender_presentation": krippendorff(presentations.values(), len(PRESENTATIONS), "nominal"),
    }
    return [
        Agreement(
            attribute=attribute,
            between=tuple(group),
            alpha=estimate.value,
            ci_low=estimate.low,
            ci_high=estimate.high,
            clips=estimate.n,
        )
        for attribute, estimate in found.items()
    ]


def _coincidences(unit: Sequence[int], values: int) -> Floats:
    """How often each value is paired with each one, [values, values]; a unit counts as its ratings do."""
    counts = np.bincount(unit, minlength=values).astype(np.float64)
    return (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)


def _alpha(coincidences: Floats, scale: Scale) -> Floats:
    """Alpha of each of several coincidence matrices [r, values, values]; NaN where nothing varies."""
    totals = coincidences.sum(axis=2)
    if scale == "ordinal":
        middles = totals.cumsum(axis=1) - totals / 2
        distances = (middles[:, :, None] - middles[:, None, :]) ** 2
    else:
        distances = np.broadcast_to(1.0 - np.eye(totals.shape[1]), coincidences.shape)
    observed = (coincidences * distances).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distances).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        alphas = 1.0 - (totals.sum(axis=1) - 1.0) * observed / expected
    return np.where(expected > 0, alphas, np.nan)
