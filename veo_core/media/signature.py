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


def moments(seconds: float) -> npt.NDArray[np.float64]:
    """Times in a shot of `seconds` at which its signature looks at it, seconds from its start [STEPS]."""
    return np.asarray((np.arange(STEPS) + 0.5) / STEPS * seconds)


def signature_of(pictures: npt.NDArray[np.uint8]) -> Signature:
    """The signature of a shot, from its RGB pictures without bars at `moments`, uint8 [STEPS, h, w, 3]."""
    return Signature(thumbnails(pictures, SIDE))
