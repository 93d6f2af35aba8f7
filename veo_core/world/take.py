"""A take: a filmed scene before it is written to a file, which flaws alter."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from veo_core.world.film import record, render
from veo_core.world.scene import Scene
from veo_core.world.truth import Shot, WorldSpec


@dataclass
class Take:
    """Pictures uint8 [t, h, w, 3], sound float32 [1, l] or None for no track, and what they show.

    pts: time of each frame in seconds where the frame rate varies.
    encoding: arguments of `veo_core.media.encode.encode` that differ from its defaults.
    """

    frames: npt.NDArray[np.uint8]
    fps: float
    audio: npt.NDArray[np.float32] | None
    audio_rate: int
    shots: tuple[Shot, ...]
    onsets: tuple[float, ...]
    pts: npt.NDArray[np.float64] | None = None
    encoding: dict[str, Any] = field(default_factory=dict)


def shoot(
    scene: Scene,
    spec: WorldSpec,
    *,
    seconds: float | None = None,
    pts: npt.NDArray[np.float64] | None = None,
    lag: float = 0.0,
) -> Take:
    """Film a scene.

    Args:
        scene: what to film.
        spec: picture size, frame rate and audio rate.
        seconds: length; the spec's where None.
        pts: times of the frames; regular ones where None.
        lag: seconds by which the sound is late.
    """
    seconds = spec.seconds if seconds is None else seconds
    times = np.arange(round(seconds * spec.fps)) / spec.fps if pts is None else pts
    contacts = tuple(scene.contacts(seconds))
    onsets = tuple(t + lag for t in contacts if 0.0 <= t + lag < seconds)
    return Take(
        frames=render(scene, times, spec.height, spec.width),
        fps=spec.fps,
        audio=record(scene, onsets, seconds, spec.audio_rate),
        audio_rate=spec.audio_rate,
        shots=(Shot(start=0.0, seconds=seconds, attributes=scene.attributes, contacts=contacts),),
        onsets=onsets,
        pts=pts,
    )
