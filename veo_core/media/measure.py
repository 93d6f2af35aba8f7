"""The signals of a shot, from its views and its sound."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.media.loudness import integrated_loudness
from veo_core.media.signals import UInt8, exposure, motion, overlay_text, sharpness
from veo_core.media.sound import clipped_share, loudness, onsets, silent_share
from veo_core.media.survey import Shot
from veo_core.media.sync import lag
from veo_core.records.clip import Signals

_TOLERANCE, _FURTHEST = 0.07, 1.0  # seconds


@dataclass(frozen=True)
class SoundTrack:
    """The sound of a whole file.

    Attributes:
        samples: float32 [c, l] from the file's first picture on; no channel's worth of samples where there is
            no sound track.
        rate: samples per second.
        is_there: whether the file has a sound track.
    """

    samples: npt.NDArray[np.float32]
    rate: int
    is_there: bool

    def between(self, start: float, stop: float) -> npt.NDArray[np.float32]:
        """The samples from `start` to `stop` in seconds, as far as there are any."""
        return self.samples[:, round(start * self.rate) : round(stop * self.rate)]

    def exactly(self, start: float, length: int) -> npt.NDArray[np.float32]:
        """`length` samples from `start` on, silent where there are none."""
        first = round(start * self.rate)
        piece = self.samples[:, first : first + length]
        return np.pad(piece, ((0, 0), (0, length - piece.shape[1])))


def measure(shot: Shot, sound: SoundTrack, clip_sound: npt.NDArray[np.float32], pictures: UInt8) -> Signals:
    """Measure a shot, all but the duration gap of its file.

    Args:
        shot: the shot, ended.
        sound: that of its file.
        clip_sound: that of the clip, float32 [c, l].
        pictures: luma of some pictures of the clip at the size of its key frames, uint8 [t, h, w].
    """
    luma = shot.inside
    height, width = shot.luma.shape[1:]
    under, over = exposure(luma)
    mono = clip_sound.mean(axis=0)
    whole = sound.between(shot.start, shot.start + shot.seconds).mean(axis=0)
    return Signals(
        motion=motion(luma),
        sharpness=sharpness(pictures),
        luma=float(luma.mean()),
        contrast=float(luma[:: max(1, len(luma) // 24)].std(axis=(1, 2)).mean()),
        underexposed=under,
        overexposed=over,
        text=overlay_text(luma),
        bars=1.0 - luma.shape[1] * luma.shape[2] / (height * width),
        has_audio=sound.is_there,
        loudness=loudness(mono),
        lufs=integrated_loudness(clip_sound, sound.rate),
        silence=silent_share(mono, sound.rate),
        clipped=clipped_share(clip_sound.ravel()),
        sync=lag(
            onsets(whole, sound.rate),
            shot.events(),
            tolerance=_TOLERANCE,
            furthest=_FURTHEST,
            seconds=shot.seconds,
        ),
    )
