"""Seeing a few stills of a clip, as a judge is shown them: speed too, where the words state their times."""

import re

import numpy as np
import numpy.typing as npt

from veo_core.world.detect_picture import see
from veo_core.world.sighting import SeenPicture

# No contact comes earlier in a scene, so that the first two stills lie on one straight piece of motion.
_LONGEST_INTERVAL = 0.3  # seconds
_SPACING = re.compile(r"evenly spaced over (\d+(?:\.\d+)?) s\b")


def see_stills(frames: npt.NDArray[np.uint8], words: str) -> SeenPicture:
    """What stills show.

    Args:
        frames: RGB pictures in time order, uint8 [t, h, w, 3], the clip's first frame first.
        words: what is said of them; "evenly spaced over 2 s" gives them times, and so a speed.
    """
    seen = see(frames, None)
    stated = _SPACING.search(words)
    interval = float(stated[1]) / max(1, len(frames) - 1) if stated else np.inf
    if not 0.0 < interval <= _LONGEST_INTERVAL or len(frames) < 2:
        return seen
    first = see(frames[:2], np.array([0.0, interval]))
    speeds = {item.colour: item.speed for item in first.objects}
    objects = tuple(item.model_copy(update={"speed": speeds.get(item.colour)}) for item in seen.objects)
    return seen.model_copy(update={"objects": objects})
