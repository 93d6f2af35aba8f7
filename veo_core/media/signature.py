"""A signature of a shot that survives re-encoding and re-timing, for finding near-duplicates.

It holds the shot's picture as small colour thumbnails at fixed *shares* of the shot's length, so that a
shot played faster or slower keeps its signature.
"""

import base64
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.media.shots import thumbnails

STEPS, SIDE = 24, 16
_BYTES = STEPS * SIDE * SIDE * 3


@dataclass(frozen=True)
class Signature:
    """Thumbnails in time order, uint8 [STEPS, SIDE, SIDE, 3]."""

    pictures: npt.NDArray[np.uint8]

    def to_text(self) -> str:
        return base64.b64encode(self.pictures.tobytes()).decode()

    @classmethod
    def from_text(cls, text: str) -> "Signature":
        data = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
        if data.size != _BYTES:
            raise ValueError(f"a signature has {_BYTES} bytes, not {data.size}")
        return cls(data.reshape(STEPS, SIDE, SIDE, 3))


def signature_of(frames: npt.NDArray[np.uint8], pts: npt.NDArray[np.float64], seconds: float) -> Signature:
    """The signature of a shot.

    Args:
        frames: RGB pictures without black bars, uint8 [t, h, w, 3].
        pts: their times from the shot's start, seconds [t].
        seconds: the shot's length.
    """
    ticks = (np.arange(STEPS) + 0.5) / STEPS * seconds
    shown = np.clip(np.searchsorted(pts, ticks, side="right") - 1, 0, len(pts) - 1)
    return Signature(thumbnails(frames[shown], SIDE))
