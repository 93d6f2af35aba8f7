"""AV-Align: peaks of motion in the picture against onsets of the sound, whatever the clip shows.

Yariv et al., "Diverse and Aligned Audio-to-Video Generation via Text-to-Video Model Adaptation" (2309.16429),
with two faults of the copies in circulation mended: each peak is matched to at most one onset, so that the
overlap cannot exceed 1, and times are presentation times, so that the priming of an AAC encoder, as long as
the tolerance, is no error.
"""

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.evaluate.sync import match_events

_SHORT_SIDE = 128
_LEAST_RISE = 0.1  # of the largest motion of the clip
_STILL = 0.02  # pixels a frame at the analysed size, below which nothing moves


def motion_peaks(luma: npt.NDArray[np.uint8], pts: npt.NDArray[np.float64]) -> list[float]:
    """Times in seconds at which the mean optical flow between frames is at a local maximum.

    Flow is Farnebäck's ("Two-Frame Motion Estimation Based on Polynomial Expansion", 2003), of pictures
    whose short side is at most 128 pixels. A peak stands out of the lower of its two feet by a tenth of the
    clip's largest flow.

    Args:
        luma: [t, h, w].
        pts: presentation times in seconds [t].
    """
    flow = flow_magnitudes(luma)
    if len(flow) < 3 or flow.max() < _STILL:
        return []
    rise = _LEAST_RISE * flow.max()
    peaks = []
    for index in range(len(flow)):
        left, right = _foot(flow, index, -1), _foot(flow, index, 1)
        if left is not None and right is not None and flow[index] - max(left, right) >= rise:
            peaks.append(float(pts[index + 1]))
    return peaks


def flow_magnitudes(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Mean length of the optical flow between each frame and the next, in pixels of the analysed size.

    Args:
        luma: [t, h, w].

    Returns:
        [t - 1].
    """
    scale = min(1.0, _SHORT_SIDE / min(luma.shape[1:]))
    small = [cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in luma]
    lengths = []
    for before, after in pairwise(small):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        lengths.append(float(np.hypot(flow[..., 0], flow[..., 1]).mean()))
    return np.asarray(lengths)


def overlap(peaks: list[float], onsets: list[float], tolerance: float) -> tuple[int, int]:
    """How many peaks and onsets match one to one within `tolerance` seconds, and how many there are in all.

    The share of the first in the second is AV-Align: intersection over union, 0 to 1.
    """
    matched = len(match_events(peaks, onsets, tolerance))
    return matched, len(peaks) + len(onsets) - matched


def _foot(flow: npt.NDArray[np.float64], index: int, step: int) -> float | None:
    """The lowest flow on one side of a peak before the flow is higher than there; None at a neighbour
    that is as high. Beyond the clip's ends nothing moves.
    """
    lowest, at = float(flow[index]), index + step
    if 0 <= at < len(flow) and (flow[at] > flow[index] or (flow[at] == flow[index] and step < 0)):
        return None
    while 0 <= at < len(flow) and flow[at] <= flow[index]:
        lowest = min(lowest, float(flow[at]))
        at += step
    return 0.0 if not 0 <= at < len(flow) and lowest == flow[index] else lowest
