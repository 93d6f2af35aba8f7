"""Estimates with 95 % confidence intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Two-sided 95 % quantile of the standard normal distribution.
Z95 = 1.959963984540054
_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; all None where there is no data.

    Attributes:
        value: the point estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        n: how many independent units (clips, prompts) the figure rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


NO_DATA = Estimate(None, None, None, 0)


def wilson(successes: int, n: int) -> Estimate:
    """Share of successes with Wilson's score interval (Wilson 1927).

    It keeps its coverage at small n and at shares of 0 and 1, where the normal interval has no width.
    """
    if n == 0:
        return NO_DATA
    low, high = _wilson_bounds(successes / n, float(n))
    return Estimate(successes / n, low, high, n)


def clustered_share(successes: Sequence[int], totals: Sequence[int]) -> Estimate:
    """Share of successes among events that come in clusters, such as the contacts of one clip.

    Events of one clip succeed and fail together, so the interval is Wilson's at the effective number of
    events: the count divided by the design effect (Kish 1965), at least 1. Where every event agrees the
    design effect cannot be estimated and each cluster counts once.

    Args:
        successes: successes of each cluster.
        totals: events of each cluster; clusters without events are left out.
    """
    pairs = [(hits, total) for hits, total in zip(successes, totals, strict=True) if total > 0]
    if not pairs:
        return NO_DATA
    clusters, events = len(pairs), sum(total for _, total in pairs)
    share = sum(hits for hits, _ in pairs) / events
    effective = float(clusters)
    if 0 < share < 1 and clusters > 1:
        residuals = sum((hits - share * total) ** 2 for hits, total in pairs)
        variance = clusters / (clusters - 1) * residuals / events**2
        independent = share * (1 - share) / events
        effective = events / max(1.0, variance / independent)
    low, high = _wilson_bounds(share, effective)
    return Estimate(share, low, high, clusters)


def bootstrap_mean(values: Sequence[float], *, seed: int) -> Estimate:
    """Mean with a percentile bootstrap interval (Efron 1979) over 2,000 resamples."""
    return _bootstrap(values, lambda sample: np.mean(sample, axis=-1), seed)


def bootstrap_median(values: Sequence[float], *, seed: int) -> Estimate:
    """Median with a percentile bootstrap interval over 2,000 resamples."""
    return _bootstrap(values, lambda sample: np.median(sample, axis=-1), seed)


def _bootstrap(
    values: Sequence[float],
    statistic: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    seed: int,
) -> Estimate:
    if not values:
        return NO_DATA
    data = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(data), size=(_RESAMPLES, len(data)))
    low, high = np.quantile(statistic(data[drawn]), (0.025, 0.975))
    return Estimate(float(statistic(data)), float(low), float(high), len(data))


def _wilson_bounds(share: float, n: float) -> tuple[float, float]:
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
