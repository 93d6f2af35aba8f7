"""A signature of a shot that survives re-encoding, cropping and re-timing, for finding near-duplicates.

It holds the shot's picture as small colour thumbnails, and its sound as a level envelope, both at fixed
*shares* of the shot's length, so that a shot played faster or slower keeps its signature.
"""

import base64
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.media.shots import thumbnails
from veo_core.media.sound import envelope

STEPS, SIDE, SOUND_STEPS = 12, 16, 48
_BYTES = STEPS * SIDE * SIDE * 3 + SOUND_STEPS
_QUIETEST_DB = -60.0


@dataclass(frozen=True)
class Signature:
    """Thumbnails, uint8 [STEPS, SIDE, SIDE, 3], and sound level, uint8 [SOUND_STEPS].

    A level of 0 is -60 dBFS or less, 255 is full scale.
    """

    pictures: npt.NDArray[np.uint8]
    sound: npt.NDArray[np.uint8]

    def to_text(self) -> str:
        return base64.b64encode(self.pictures.tobytes() + self.sound.tobytes()).decode()

    @classmethod
    def from_text(cls, text: str) -> "Signature":
        data = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
        if data.size != _BYTES:
            raise ValueError(f"a signature has {_BYTES} bytes, not {data.size}")
        pictures, sound = data[:-SOUND_STEPS], data[-SOUND_STEPS:]
        return cls(pictures.reshape(STEPS, SIDE, SIDE, 3), sound)


def signature_of(
    frames: npt.NDArray[np.uint8],
    pts: npt.NDArray[np.float64],
    seconds: float,
    samples: npt.NDArray[np.float32],
    rate: int,
) -> Signature:
    """The signature of a shot.

    Args:
        frames: RGB pictures without black bars, uint8 [t, h, w, 3].
        pts: their times from the shot's start, seconds [t].
        seconds: the shot's length.
        samples: mono sound, float32 [l], empty where there is none.
        rate: samples per second.
    """
    ticks = (np.arange(STEPS) + 0.5) / STEPS * seconds
    shown = np.clip(np.searchsorted(pts, ticks, side="right") - 1, 0, len(pts) - 1)
    level = np.zeros(SOUND_STEPS)
    if samples.size:
        loud = 20.0 * np.log10(envelope(samples, rate, seconds / SOUND_STEPS)[:SOUND_STEPS] + 1e-9)
        level[: len(loud)] = np.clip(1.0 - loud / _QUIETEST_DB, 0.0, 1.0)
    return Signature(thumbnails(frames[shown], SIDE), np.asarray(np.round(level * 255), dtype=np.uint8))
