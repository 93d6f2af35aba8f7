"""Turning points of a motion along one axis: straight pieces whose lines are intersected."""

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_PENALTY = 4e-4  # squared short sides that one more piece must save
_NOISE_PENALTY = 12.0  # variances that one more piece must save
_SLOWEST = 0.1  # short sides per second; slower pieces do not count as motion


class Motion(NamedTuple):
    """velocity: of the first piece, signed, in lengths per second, 0.0 where nothing moves.

    speed: mean over all pieces that move. turns: times at which the motion turns round.
    """

    velocity: float
    speed: float
    turns: tuple[float, ...]


def follow(times: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]) -> Motion:
    """Explain positions [n] at increasing times [n] by straight pieces.

    The pieces minimise squared errors plus a price for each piece (optimal partitioning; Jackson et al.,
    "An algorithm for optimal partitioning of data on an interval", 2005). A turn is where two moving pieces
    of opposite directions meet; its time is where their lines do.
    """
    if len(times) < 2:
        return Motion(0.0, 0.0, ())
    lines = _pieces(times, positions)
    moving = [line for line in lines if abs(line[0]) >= _SLOWEST]
    if not moving:
        return Motion(0.0, 0.0, ())
    turns = []
    for (v0, c0, _, last), (v1, c1, first, _) in itertools.pairwise(moving):
        if v0 * v1 < 0:
            turns.append(float(np.clip((c1 - c0) / (v0 - v1), times[last], times[first])))
    spans = np.array([last - first for _, _, first, last in moving], dtype=np.float64)
    speeds = np.abs([line[0] for line in moving])
    return Motion(moving[0][0], float((speeds * spans).sum() / spans.sum()), tuple(turns))


def _pieces(
    times: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]
) -> list[tuple[float, float, int, int]]:
    """(slope, intercept, first index, last index) of each piece, two points or more each, in order."""
    n = len(times)
    slope, intercept, error = _all_lines(times, positions)
    price = max(_PENALTY, _NOISE_PENALTY * _noise(times, positions) ** 2)
    best = np.full(n + 1, np.inf)  # best[j]: cost of the first j points
    best[0] = -price
    cut = np.zeros(n + 1, dtype=np.intp)
    for end in range(2, n + 1):
        costs = best[: end - 1] + error[: end - 1, end - 1] + price
        cut[end] = int(np.argmin(costs))
        best[end] = costs[cut[end]]
    pieces = []
    end = n
    while end > 0:
        start = int(cut[end])
        pieces.append((float(slope[start, end - 1]), float(intercept[start, end - 1]), start, end - 1))
        end = start
    return pieces[::-1]


def _all_lines(
    times: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Slope, intercept and squared error of the line through points i to j, each [n, n], for i < j."""
    t, x = times - times.mean(), positions - positions.mean()
    sums = [np.concatenate([[0.0], np.cumsum(v)]) for v in (np.ones_like(t), t, x, t * t, t * x, x * x)]
    count, st, sx, stt, stx, sxx = (s[None, 1:] - s[:-1, None] for s in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        vt, vtx, vx = stt - st * st / count, stx - st * sx / count, sxx - sx * sx / count
        slope = vtx / vt
        error = np.maximum(vx - slope * vtx, 0.0)
        intercept = (sx - slope * st) / count + positions.mean() - slope * times.mean()
    error[~np.triu(np.ones_like(error, dtype=bool), 1)] = np.inf
    return slope, intercept, error


def _noise(times: npt.NDArray[np.float64], positions: npt.NDArray[np.float64]) -> float:
    """The positions' standard error, from how far each lies off the line between its neighbours.

    The lower third of these distances is used: at a turn a position is off for another reason.
    """
    if len(times) < 5:
        return 0.0
    share = (times[1:-1] - times[:-2]) / (times[2:] - times[:-2])
    off = np.abs(positions[1:-1] - (1 - share) * positions[:-2] - share * positions[2:])
    # Off-line distances have 1.5 times the variance; |normal| is below 0.43 sigma a third of the time.
    return float(np.quantile(off, 1 / 3) / 0.43 / np.sqrt(1.5))
