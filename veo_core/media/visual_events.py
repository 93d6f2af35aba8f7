"""Moments at which something in the picture turns round, as a thing does that hits a wall."""

import cv2
import numpy as np
import numpy.typing as npt

_SIDE, _BANDS = 32, 4
_SLOWEST = 0.12  # short sides per second
_REACH = 4  # frames on each side that a motion must last


def reduced(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What `events_of` needs of a picture: uint8 [h, w] to float32 [32, 32]."""
    small = cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), dtype=np.float32)


def events_of(pictures: npt.NDArray[np.float32], pts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Times in seconds at which motion along the picture's main axis of motion reverses, float64 [n].

    The main axis is the one along which motion explains most of the change. The picture is cut into bands
    along it, so that several things may move at a time. In each band the displacement between two frames is
    the least-squares solution of the brightness constancy equation (Lucas and Kanade, 1981) in one dimension;
    a reversal is where lines through the positions before and after it cross, which is finer than a frame.

    Args:
        pictures: by `reduced`, float32 [t, 32, 32].
        pts: presentation times in seconds [t].
    """
    if len(pictures) < 2 * _REACH:
        return np.zeros(0)
    main, explained = _displacements(pictures)
    other, explained_by_other = _displacements(pictures.transpose(0, 2, 1))
    if explained_by_other > explained:
        main = other
    times: list[float] = []
    for band in main.T:
        times.extend(_reversals(band / _SIDE, pts))
    return _merged(times)


def _displacements(pictures: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], float]:
    """Motion along the last axis between consecutive pictures, in cells, for each band: [t - 1, bands].

    With it comes how much of the squared change of brightness it explains. The displacements themselves do
    not tell the axis of motion: slanted edges that move along one axis seem to move along the other as well.
    """
    slope = np.gradient(pictures, axis=2)
    slope = (slope[1:] + slope[:-1]) / 2
    change = np.diff(pictures, axis=0)
    shape = (len(change), _BANDS, -1)
    energy = (slope**2).reshape(shape).sum(axis=2)
    together = (slope * change).reshape(shape).sum(axis=2)
    moved = -together / np.maximum(energy, 1e-6)
    changed = np.abs(change).reshape(shape).mean(axis=2) > 0.5
    explained = float(-(moved * together)[changed].sum())
    return np.asarray(np.where(changed, moved, 0.0), dtype=np.float64), explained


def _reversals(moved: npt.NDArray[np.float64], pts: npt.NDArray[np.float64]) -> list[float]:
    """Times at which a path that is given by its steps turns round."""
    steps = np.diff(pts)
    speed = moved / steps
    path = np.r_[0.0, np.cumsum(moved)]
    found: list[float] = []
    medians = _medians(speed)
    for index in (2 + np.flatnonzero(moved[1:-2] * moved[2:-1] <= 0)).tolist():
        before, after = index - 1 - _REACH, index + 1
        incoming = medians[before] if before >= 0 else np.median(speed[: index - 1])
        if abs(incoming) < _SLOWEST:
            continue
        outgoing = medians[after] if after < len(medians) else np.median(speed[after:])
        if incoming * outgoing >= 0 or abs(outgoing) < _SLOWEST:
            continue
        # Lines through a point on each side, both clear of the frames next to the turn.
        start, end = index - 1, index + 1
        time = (path[end] - path[start] + incoming * pts[start] - outgoing * pts[end]) / (incoming - outgoing)
        if pts[max(0, index - 2)] <= time <= pts[min(len(pts) - 1, index + 2)]:
            found.append(float(time))
    return found


def _medians(speed: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median of `_REACH` values, an even number, from each place on."""
    if len(speed) < _REACH:
        return np.zeros(0)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(speed, _REACH), axis=1)
    return np.asarray(windows[:, _REACH // 2 - 1 : _REACH // 2 + 1].mean(axis=1))


def _merged(times: list[float], gap: float = 0.1) -> npt.NDArray[np.float64]:
    """Times closer than `gap` are one event, at their mean."""
    groups: list[list[float]] = []
    for time in sorted(times):
        if groups and time - groups[-1][-1] < gap:
            groups[-1].append(time)
        else:
            groups.append([time])
    return np.asarray([float(np.mean(group)) for group in groups])
