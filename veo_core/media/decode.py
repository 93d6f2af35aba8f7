"""Decoding whole media files into memory, within limits."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from veo_core.errors import ItemError
from veo_core.media.opening import DEMUXERS as DEMUXERS
from veo_core.media.opening import Limits as Limits
from veo_core.media.opening import demuxer_of as demuxer_of
from veo_core.media.opening import open_media as open_media
from veo_core.media.opening import undecodable
from veo_core.media.passes import Pass, Sound, check_not_cut_off


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        frames: RGB pictures, uint8 [t, h, w, 3].
        pts: presentation time of each frame in seconds from the first, float64 [t].
        audio: samples in [-1, 1], float32 [c, l], from the first frame's time on; None without a sound track.
        audio_rate: samples per second, 0 without a sound track.
        fps: average frames per second.
        packet_hash: sha256 of the compressed picture and sound without their container, hexadecimal.
        start: presentation time of the first frame in the file, seconds.
    """

    frames: npt.NDArray[np.uint8]
    pts: npt.NDArray[np.float64]
    audio: npt.NDArray[np.float32] | None
    audio_rate: int
    fps: float
    packet_hash: str = ""
    start: float = 0.0

    @property
    def seconds(self) -> float:
        """Time that the picture covers: the last frame lasts as long as an average one."""
        return float(self.pts[-1]) + 1.0 / self.fps


def decode(
    path: str | Path,
    *,
    limits: Limits | None = None,
    size: tuple[int, int] | None = None,
    max_short_side: int | None = None,
    audio_rate: int | None = None,
    mono: bool = False,
) -> Decoded:
    """Decode a whole file in one pass.

    Args:
        path: an MP4/MOV or Matroska/WebM file.
        limits: what the file may cost.
        size: (height, width) to scale pictures to; their own size where None.
        max_short_side: pictures with a longer short side are scaled down to it, where `size` is None.
        audio_rate: samples per second to resample to; the track's own rate where None.
        mono: mix the sound down to one channel.

    Raises:
        ItemError: the file cannot be decoded whole (rule "undecodable"), exceeds a limit (rule "limit") or
            the memory that there is (rule "memory").
    """
    limits = limits or Limits()
    try:
        with open_media(path, limits) as container:
            return _decode(container, limits, size, max_short_side, audio_rate, mono)
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise undecodable(error) from None


def _decode(
    container: av.container.InputContainer,
    limits: Limits,
    size: tuple[int, int] | None,
    max_short_side: int | None,
    audio_rate: int | None,
    mono: bool,
) -> Decoded:
    run = Pass(container, limits)
    reformatter = VideoReformatter()
    sound = Sound(run.audio, rate=audio_rate, channels=1 if mono else None) if run.audio else None
    pictures: list[npt.NDArray[np.uint8]] = []
    for frame in run.frames():
        if isinstance(frame, av.VideoFrame):
            height, width = size or _scaled(frame.height, frame.width, max_short_side)
            if (len(pictures) + 1) * height * width * 3 > limits.max_decoded_bytes:
                raise ItemError("limit", f"more than {limits.max_decoded_bytes} bytes of decoded pictures")
            picture = reformatter.reformat(frame, width, height, "rgb24", threads=1)
            pictures.append(picture.to_ndarray().astype(np.uint8, copy=False))
        elif sound is not None:
            sound.add(frame)
    check_not_cut_off(container, run)
    audio = sound.samples(run.times[0]) if sound is not None else None
    return Decoded(
        frames=np.stack(pictures),
        pts=np.asarray(run.times) - run.times[0],
        audio=audio,
        audio_rate=sound.rate if sound is not None and audio is not None else 0,
        fps=1.0 / run.seconds_between(),
        packet_hash=hashlib.sha256(b"".join(run.digests)).hexdigest(),
        start=run.times[0],
    )


def _scaled(height: int, width: int, max_short_side: int | None) -> tuple[int, int]:
    """(height, width) with the short side at most `max_short_side`."""
    if max_short_side is None or min(height, width) <= max_short_side:
        return height, width
    scale = Fraction(max_short_side, min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def frames_at(decoded: Decoded, fps: float, count: int, start: float = 0.0) -> npt.NDArray[np.intp]:
    """Indices of the frames on show at `start`, `start + 1/fps`, ... [count]."""
    ticks = start + np.arange(count) / fps
    shown = np.searchsorted(decoded.pts, ticks + 1e-6, side="right") - 1
    return np.clip(shown, 0, len(decoded.pts) - 1)
