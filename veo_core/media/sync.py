"""By how much a shot's sound lags its picture."""

import numpy as np
import numpy.typing as npt


def lag(
    sound: npt.NDArray[np.float64], picture: npt.NDArray[np.float64], *, tolerance: float, furthest: float
) -> float | None:
    """The shift of the sound that best matches its onsets one-to-one with events of the picture.

    Among shifts that match equally many, the smallest wins, because repeated events match at many shifts.

    Args:
        sound: onset times in seconds [n].
        picture: event times in seconds [m].
        tolerance: how far apart a matched pair may be, seconds.
        furthest: largest shift to consider, seconds.

    Returns:
        Seconds by which the sound is late, None where no pair can be matched.
    """
    if not len(sound) or not len(picture):
        return None
    shifts = (sound[:, None] - picture[None, :]).ravel()
    shifts = shifts[np.abs(shifts) <= furthest]
    if not len(shifts):
        return None
    best: tuple[int, float, float] | None = None
    for shift in shifts:
        pairs = _matched(sound - shift, picture, tolerance)
        centre = float(shift + np.mean(pairs))
        key = (len(pairs), -abs(centre), centre)
        if best is None or key > best:
            best = key
    assert best is not None
    return best[2]


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
