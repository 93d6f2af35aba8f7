"""One pass over the streams of an open file: its frames as they are decoded, within limits."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError
from veo_core.media.opening import Limits

_LOST_SECONDS = 0.5  # by how much a whole file may be shorter than its header says


class Packet(NamedTuple):
    """Where a compressed picture stands in its stream. Times are in units of the stream's time base."""

    pts: int | None
    dts: int | None
    is_key: bool


@dataclass
class Pass:
    """Decodes the first picture stream of a container, its first sound stream, or both.

    Attributes:
        times: presentation time of each decoded picture in the file, seconds; increasing.
        packets: the compressed pictures in the order of decoding.
        ends: presentation time in the file at which the last decoded frame of each stream ends, seconds.
    """

    container: av.container.InputContainer
    limits: Limits
    pictures: bool = True
    sound: bool = True
    times: list[float] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    ends: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        audio = self.container.streams.audio
        self.video = self.container.streams.video[0]
        self.audio = audio[0] if self.sound and audio else None
        self.period = 1.0 / float(self.video.average_rate or self.video.guessed_rate or 1)
        chosen = (self.video if self.pictures else None, self.audio)
        self._streams = [stream for stream in chosen if stream is not None]
        self._digests = {stream.index: hashlib.sha256() for stream in self._streams}
        self._samples = 0
        self._size: tuple[int, int] | None = None
        # Threads cost more than they give on short clips, and stages already use every core.
        self.video.codec_context.thread_count = 1
        self.video.codec_context.options = {
            "err_detect": "explode",
            "max_pixels": self.limits.ffmpeg_max_pixels,
        }

    def frames(self) -> Iterator[av.VideoFrame | av.AudioFrame]:
        """Decode.

        Raises:
            ItemError: a limit is exceeded, or the file is damaged or cut off.
            av.error.FFmpegError: it cannot be decoded.
        """
        # Without any stream named, PyAV would read them all.
        for packet in self.container.demux(self._streams) if self._streams else ():
            if packet.is_corrupt:
                raise ItemError("undecodable", "a packet is corrupt")
            index = packet.stream.index
            if packet.size:
                self._digests[index].update(packet)
                if index == self.video.index:
                    self.packets.append(Packet(packet.pts, packet.dts, packet.is_keyframe))
                    if len(self.packets) > self.limits.max_frames:
                        raise ItemError("limit", f"more than {self.limits.max_frames} frames")
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    self._check_picture(frame)
                else:
                    self._check_sound(frame, index)
                yield frame
        if self.pictures:
            self._check_whole()

    @property
    def digests(self) -> list[bytes]:
        """sha256 of each stream's compressed data, the picture's first."""
        return [digest.digest() for digest in self._digests.values()]

    def _check_picture(self, frame: av.VideoFrame) -> None:
        if frame.width * frame.height > self.limits.max_pixels:
            raise ItemError("limit", f"{frame.width}x{frame.height} pixels are too many")
        if self._size not in (None, (frame.width, frame.height)):
            raise ItemError("undecodable", "the picture changes its size")
        self._size = (frame.width, frame.height)
        if len(self.times) >= self.limits.max_frames:
            raise ItemError("limit", f"more than {self.limits.max_frames} frames")
        time = float(frame.time) if frame.time is not None else len(self.times) * self.period
        if self.times and time <= self.times[-1]:
            raise ItemError("undecodable", "presentation times do not increase")
        self.times.append(time)
        self.ends[self.video.index] = time + self.period
        if time - self.times[0] > self.limits.max_seconds:
            raise ItemError("limit", f"more than {self.limits.max_seconds} s")

    def _check_sound(self, frame: av.AudioFrame, index: int) -> None:
        self._samples += frame.samples
        if self._samples > (self.limits.max_seconds + 1.0) * frame.sample_rate:
            raise ItemError("limit", f"more than {self.limits.max_seconds} s of sound")
        self.ends[index] = float(frame.time or 0.0) + frame.samples / frame.sample_rate

    def _check_whole(self) -> None:
        if not self.times:
            raise ItemError("undecodable", "no frame could be decoded")
        # MP4's index, less what an edit list leaves out; Matroska's lists some key frames only.
        listed = len(self.video.index_entries) if self.container.format.name.startswith("mov") else 0
        if len(self.packets) < listed:
            raise ItemError("undecodable", f"truncated: {len(self.packets)} of {listed} pictures")

    def seconds_between(self) -> float:
        """Mean time from a picture to the next."""
        if len(self.times) < 2:
            return self.period
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def check_not_cut_off(container: av.container.InputContainer, *passes: Pass) -> None:
    """Refuse a file that is shorter than its header says, as a download that broke is.

    Raises:
        ItemError: rule "undecodable".
    """
    if not container.duration:
        return
    start = (container.start_time or 0) / av.time_base
    seconds = container.duration / av.time_base
    read = max((end for one in passes for end in one.ends.values()), default=start) - start
    if read < seconds - _LOST_SECONDS:
        raise ItemError("undecodable", f"truncated: {read:.2f} of {seconds:.2f} s")


class Sound:
    """Collects the frames of a sound track as float32 samples [c, l].

    Args:
        stream: the track.
        rate: samples per second to resample to; the track's own where None.
        channels: at most this many channels; more are mixed down.
    """

    def __init__(
        self, stream: av.AudioStream, *, rate: int | None = None, channels: int | None = None
    ) -> None:
        layout = stream.codec_context.layout.name
        if channels is not None and stream.codec_context.layout.nb_channels > channels:
            layout = "mono" if channels == 1 else "stereo"
        self.rate = rate or stream.codec_context.sample_rate
        self.start: float | None = None
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=self.rate)
        self._pieces: list[npt.NDArray[np.float32]] = []

    def add(self, frame: av.AudioFrame) -> None:
        if self.start is None:
            self.start = float(frame.time or 0.0)
        self._pieces += [_samples(piece) for piece in self._resampler.resample(frame)]

    def samples(self, start: float) -> npt.NDArray[np.float32] | None:
        """All samples from the time `start` in the file on: what comes before is cut, what is missing there
        is silent. None where the track is empty.
        """
        if not self._pieces:
            return None
        self._pieces += [_samples(piece) for piece in self._resampler.resample(None)]
        audio = np.concatenate(self._pieces, axis=1)
        shift = round(((self.start or 0.0) - start) * self.rate)
        return audio[:, -shift:] if shift < 0 else np.pad(audio, ((0, 0), (shift, 0)))


def _samples(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """The samples of a planar frame, float32 [c, l]."""
    channels = [np.frombuffer(part, np.float32, frame.samples) for part in frame.planes]
    return channels[0][None] if len(channels) == 1 else np.stack(channels)
