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
    best: tuple[int, int, int, float, float] | None = None
    for shift in shifts:
        pairs = _matched(sound - shift, picture, tolerance)
        if not pairs:
            continue
        centre = float(shift + np.mean(pairs))
        expected = picture + centre
        inside = np.count_nonzero((expected >= tolerance) & (expected < (seconds or 0.0) - tolerance))
        nearly = len(_matched(sound - centre, picture, 2 * tolerance))
        key = (len(pairs), nearly, -max(0, int(inside) - len(pairs)), -abs(centre), centre)
        if best is None or key > best:
            best = key
    return None if best is None else best[4]


def _matched(
    sound: npt.NDArray[np.float64], picture: npt.NDArray[np.float64], tolerance: float
) -> list[float]:
    """Differences of one-to-one matched times, walked in time order."""
    differences: list[float] = []
    index = 0
    for time in sound:
        while index < len(picture) and picture[index] < time - tolerance:
            index += 1
        if index < len(picture) and picture[index] <= time + tolerance:
            differences.append(float(time - picture[index]))
            index += 1
    return differences
