"""By how much a shot's sound lags its picture."""

import numpy as np
import numpy.typing as npt


def lag(
    sound: npt.NDArray[np.float64],
    picture: npt.NDArray[np.float64],
    *,
    tolerance: float,
    furthest: float,
    seconds: float | None = None,
) -> float | None:
    """The shift of the sound that best matches its onsets one-to-one with events of the picture.

    Repeated events match at many shifts. Among shifts that match equally many, the one wins that matches the
    most at twice the tolerance, because events may be placed badly; then the one that leaves the fewest
    events without the onset that it would put inside the shot, then the smallest.

    Args:
        sound: onset times in seconds [n].
        picture: event times in seconds [m].
        tolerance: how far apart a matched pair may be, seconds.
        furthest: largest shift to consider, seconds.
        seconds: length of the shot; where None, the ends of the shot explain nothing.

    Returns:
        Seconds by which the sound is late, None where no pair can be matched.
    """
    if not len(sound) or not len(picture):
        return None
    shifts = np.sort((sound[:, None] - picture[None, :]).ravel())
    # Between two neighbours pairs may match that neither of them matches alone.
    shifts = np.concatenate([shifts, (shifts[1:] + shifts[:-1]) / 2])
    shifts = shifts[np.abs(shifts) <= furthest]
    pairs, offset = _matched(sound - shifts[:, None], picture, tolerance)
    shifts, pairs, offset = shifts[pairs > 0], pairs[pairs > 0], offset[pairs > 0]
    if not len(shifts):
        return None
    centres = shifts + offset
    nearly, _ = _matched(sound - centres[:, None], picture, 2 * tolerance)
    expected = picture + centres[:, None]
    inside = ((expected >= tolerance) & (expected < (seconds or 0.0) - tolerance)).sum(axis=1)
    unheard = np.maximum(0, inside - pairs)
    best = np.lexsort((centres, -np.abs(centres), -unheard, nearly, pairs))[-1]
    return float(centres[best])


def _matched(
    sound: npt.NDArray[np.float64], picture: npt.NDArray[np.float64], tolerance: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """One-to-one matches of times, walked in time order.

    Args:
        sound: one row for each shift, [s, n].
        picture: [m].

    Returns:
        How many pairs each shift matches [s], and their mean difference, 0 without any [s].
    """
    rows = len(sound)
    pairs, total, index = np.zeros(rows, np.intp), np.zeros(rows), np.zeros(rows, np.intp)
    ends = np.append(picture, np.inf)
    for times in sound.T:
        index = np.maximum(index, np.searchsorted(picture, times - tolerance))
        found = ends[index] <= times + tolerance
        total += np.where(found, times - picture[np.minimum(index, len(picture) - 1)], 0.0)
        pairs += found
        index += found
    return pairs, total / np.maximum(pairs, 1)
