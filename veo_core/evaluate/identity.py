"""Whether what a clip shows stays what it is."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from veo_core.world.detect_picture import see

_MOST_FRAMES = 24


def identity_kept(frames: npt.NDArray[np.uint8]) -> float | None:
    """Share of frames in which the detectors see the clip's usual objects: as many, as coloured and shaped.

    Up to 24 frames, evenly spread, are looked at one by one, so that an object that turns into another,
    vanishes or splits is noticed. A shape that a single frame leaves open fits every shape.

    Args:
        frames: RGB, uint8 [t, h, w, 3].

    Returns:
        0 to 1; None where most frames show no object.
    """
    looked_at = np.linspace(0, len(frames) - 1, min(_MOST_FRAMES, len(frames))).round().astype(int)
    seen = [
        tuple(sorted((item.colour, item.shape or "") for item in see(frames[t : t + 1], None).objects))
        for t in looked_at
    ]
    (usual, _), *_ = Counter(seen).most_common(1)
    if not usual:
        return None
    return sum(_fits(view, usual) for view in seen) / len(seen)


def _fits(view: tuple[tuple[str, str], ...], usual: tuple[tuple[str, str], ...]) -> bool:
    return len(view) == len(usual) and all(
        colour == expected and (shape == wanted or "" in (shape, wanted))
        for (colour, shape), (expected, wanted) in zip(view, usual, strict=True)
    )
