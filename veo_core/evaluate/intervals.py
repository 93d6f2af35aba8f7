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


def share(marks: Sequence[bool], clusters: Sequence[str]) -> Estimate:
    """Share of true marks: Wilson's interval where each has its own cluster, else `clustered_share`.

    Args:
        marks: an outcome of each clip.
        clusters: what makes clips alike, such as their prompt, of each clip.
    """
    if len(set(clusters)) == len(marks):
        return wilson(sum(marks), len(marks))
    sums = grouped([(float(mark), 1.0) for mark in marks], clusters)
    return clustered_share([round(hits) for hits, _ in sums], [round(total) for _, total in sums])


def grouped(pairs: Sequence[tuple[float, float]], clusters: Sequence[str]) -> list[tuple[float, float]]:
    """The sums of pairs over each cluster, in the order of the clusters' first appearance."""
    sums: dict[str, tuple[float, float]] = {}
    for (first, second), cluster in zip(pairs, clusters, strict=True):
        before = sums.get(cluster, (0.0, 0.0))
        sums[cluster] = (before[0] + first, before[1] + second)
    return list(sums.values())


def bootstrap_mean(values: Sequence[float], *, seed: int, clusters: Sequence[str] | None = None) -> Estimate:
    """Mean with a percentile bootstrap interval (Efron 1979) over 2,000 resamples.

    Args:
        values: one of each clip.
        seed: of the resampling.
        clusters: what makes clips alike, such as their prompt: whole clusters are drawn (Davison and Hinkley
            1997, 3.8), and n counts them. None where each clip stands for itself.
    """
    return _bootstrap(values, _weighted_mean, seed, clusters)


def bootstrap_median(
    values: Sequence[float], *, seed: int, clusters: Sequence[str] | None = None
) -> Estimate:
    """Median with a percentile bootstrap interval, as `bootstrap_mean`."""
    return _bootstrap(values, _weighted_median, seed, clusters)


def _bootstrap(
    values: Sequence[float], statistic: "_Statistic", seed: int, clusters: Sequence[str] | None
) -> Estimate:
    if not values:
        return NO_DATA
    data = np.asarray(values, dtype=np.float64)
    names = list(dict.fromkeys(clusters)) if clusters is not None else None
    count = len(data) if names is None else len(names)
    drawn = np.random.default_rng(seed).integers(0, count, size=(_RESAMPLES, count))
    weights = np.zeros((_RESAMPLES, count))
    np.add.at(weights, (np.arange(_RESAMPLES)[:, None], drawn), 1.0)
    if names is not None and clusters is not None:
        place = {name: index for index, name in enumerate(names)}
        weights = weights[:, [place[cluster] for cluster in clusters]]
    low, high = np.quantile(statistic(data, weights), (0.025, 0.975))
    value = statistic(data, np.ones((1, len(data))))[0]
    return Estimate(float(value), float(low), float(high), count)


_Floats = npt.NDArray[np.float64]
_Statistic = Callable[[_Floats, _Floats], _Floats]
"""Of values [n] under each of several rows of weights [r, n]: [r]."""


def _weighted_mean(values: _Floats, weights: _Floats) -> _Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _weighted_median(values: _Floats, weights: _Floats) -> _Floats:
    order = np.argsort(values)
    below = np.cumsum(weights[:, order], axis=1)
    half = below[:, -1:] / 2.0
    lower, upper = np.argmax(below >= half, axis=1), np.argmax(below > half, axis=1)
    return np.asarray((values[order][lower] + values[order][upper]) / 2.0)


def _wilson_bounds(share: float, n: float) -> tuple[float, float]:
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
