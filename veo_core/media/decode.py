"""Decoding of untrusted media files within limits."""

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from veo_core.errors import ItemError

# Demuxers that may open a file; FFmpeg knows hundreds, some of which read other files or the network.
DEMUXERS = {b"ftyp": "mov", b"\x1aE\xdf\xa3": "matroska"}


@dataclass(frozen=True)
class Limits:
    """What a media file may cost."""

    max_bytes: int = 1 << 30
    max_pixels: int = 4096 * 2304
    max_seconds: float = 600.0
    max_frames: int = 36_000
    max_streams: int = 8
    max_decoded_bytes: int = 4 << 30


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
        ItemError: the file cannot be decoded whole (rule "undecodable") or exceeds a limit (rule "limit").
    """
    limits = limits or Limits()
    try:
        with open_media(path, limits) as container:
            pass_ = _Pass(container, limits, size, max_short_side, audio_rate, mono)
            pass_.run()
            return pass_.result()
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise ItemError("undecodable", _reason(error)) from None


def open_media(path: str | Path, limits: Limits) -> av.container.InputContainer:
    """Open a file with the one demuxer that its first bytes name, and no protocol but `file`.

    Raises:
        ItemError: unknown kind of file, no picture, or a limit exceeded.
    """
    path = Path(path)
    with path.open("rb") as stream:
        demuxer = demuxer_of(stream.read(12))
    if demuxer is None:
        raise ItemError("undecodable", "not an MP4, MOV, Matroska or WebM file")
    if path.stat().st_size > limits.max_bytes:
        raise ItemError("limit", f"{path.stat().st_size} bytes, at most {limits.max_bytes} are allowed")
    options = {"protocol_whitelist": "file", "max_pixels": str(limits.max_pixels)}
    try:
        container = av.open(str(path), format=demuxer, options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise ItemError("undecodable", _reason(error)) from None
    try:
        _check(container, limits)
    except ItemError:
        container.close()
        raise
    return container


def _reason(error: Exception) -> str:
    """What went wrong, without the path that FFmpeg's errors name: equal files fail with equal words."""
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"


def demuxer_of(head: bytes) -> str | None:
    """The demuxer that a file's first 12 bytes name, None where no allowed one fits."""
    return next((name for magic, name in DEMUXERS.items() if magic in (head[4:8], head[:4])), None)


def _check(container: av.container.InputContainer, limits: Limits) -> None:
    if len(container.streams) > limits.max_streams:
        raise ItemError(
            "limit", f"{len(container.streams)} streams, at most {limits.max_streams} are allowed"
        )
    if not container.streams.video:
        raise ItemError("undecodable", "no picture in the file")
    video = container.streams.video[0]
    if any(stream.codec_context is None for stream in (video, *container.streams.audio[:1])):
        raise ItemError("undecodable", "no decoder for the picture or the sound")
    if video.codec_context.width * video.codec_context.height > limits.max_pixels:
        raise ItemError(
            "limit", f"{video.codec_context.width}x{video.codec_context.height} pixels are too many"
        )
    if container.duration and container.duration / av.time_base > limits.max_seconds:
        raise ItemError("limit", f"{container.duration / av.time_base:.1f} s, at most {limits.max_seconds} s")


@dataclass
class _Pass:
    """One pass over a container: what was asked for, and what has been decoded so far."""

    container: av.container.InputContainer
    limits: Limits
    size: tuple[int, int] | None
    max_short_side: int | None
    audio_rate: int | None
    mono: bool
    pictures: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    pieces: list[npt.NDArray[np.float32]] = field(default_factory=list)
    sound_start: float | None = None
    digests: dict[int, Any] = field(default_factory=dict)
    packets: int = 0

    def run(self) -> None:
        self.video = self.container.streams.video[0]
        sound = self.container.streams.audio[0] if self.container.streams.audio else None
        self.period = 1.0 / float(self.video.average_rate or self.video.guessed_rate or 1)
        # Threads cost more than they give on short clips, and stages already use every core.
        self.video.codec_context.thread_count = 1
        self.video.codec_context.options = {"err_detect": "explode"}
        self.reformatter = VideoReformatter()
        self.resampler = None
        if sound is not None:
            layout = "mono" if self.mono else sound.codec_context.layout.name
            rate = self.audio_rate or sound.codec_context.sample_rate
            self.resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        streams = [stream for stream in (self.video, sound) if stream is not None]
        self.digests = {stream.index: hashlib.sha256() for stream in streams}
        for packet in self.container.demux(streams):
            if packet.is_corrupt:
                raise ItemError("undecodable", "a packet is corrupt")
            if packet.size:
                self.digests[packet.stream.index].update(packet)
                self.packets += packet.stream is self.video or packet.stream.index == self.video.index
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    self._picture(frame)
                elif self.resampler is not None:
                    self._sound(frame)

    def _picture(self, frame: av.VideoFrame) -> None:
        if frame.width * frame.height > self.limits.max_pixels:
            raise ItemError("limit", f"{frame.width}x{frame.height} pixels are too many")
        if len(self.pictures) >= self.limits.max_frames:
            raise ItemError("limit", f"more than {self.limits.max_frames} frames")
        height, width = self.size or _scaled(frame.height, frame.width, self.max_short_side)
        if (len(self.pictures) + 1) * height * width * 3 > self.limits.max_decoded_bytes:
            raise ItemError("limit", f"more than {self.limits.max_decoded_bytes} bytes of decoded pictures")
        picture = self.reformatter.reformat(frame, width, height, "rgb24")
        self.pictures.append(picture.to_ndarray().astype(np.uint8, copy=False))
        time = float(frame.time) if frame.time is not None else len(self.times) * self.period
        self.times.append(time)
        if time - self.times[0] > self.limits.max_seconds:
            raise ItemError("limit", f"more than {self.limits.max_seconds} s")

    def _sound(self, frame: av.AudioFrame) -> None:
        assert self.resampler is not None
        if self.sound_start is None:
            self.sound_start = float(frame.time or 0.0)
        for piece in self.resampler.resample(frame):
            self.pieces.append(piece.to_ndarray())

    def result(self) -> Decoded:
        if not self.pictures:
            raise ItemError("undecodable", "no frame could be decoded")
        if self.packets < self.video.frames:
            raise ItemError("undecodable", f"truncated: {self.packets} of {self.video.frames} pictures")
        if len({picture.shape for picture in self.pictures}) != 1:
            raise ItemError("undecodable", "the picture changes its size")
        pts = np.asarray(self.times) - self.times[0]
        if len(pts) > 1 and not np.all(np.diff(pts) > 0):
            raise ItemError("undecodable", "presentation times do not increase")
        step = float(pts[-1]) / (len(pts) - 1) if len(pts) > 1 else self.period
        audio = None
        if self.pieces and self.resampler is not None:
            self.pieces.extend(piece.to_ndarray() for piece in self.resampler.resample(None))
            start = (self.sound_start or 0.0) - self.times[0]
            audio = _align(np.concatenate(self.pieces, axis=1), start, self.resampler.rate)
        whole = hashlib.sha256(b"".join(digest.digest() for digest in self.digests.values()))
        rate = self.resampler.rate if self.resampler is not None and audio is not None else 0
        return Decoded(
            frames=np.stack(self.pictures),
            pts=pts,
            audio=audio,
            audio_rate=rate,
            fps=1.0 / step,
            packet_hash=whole.hexdigest(),
            start=self.times[0],
        )


def _scaled(height: int, width: int, max_short_side: int | None) -> tuple[int, int]:
    """(height, width) with the short side at most `max_short_side`."""
    if max_short_side is None or min(height, width) <= max_short_side:
        return height, width
    scale = Fraction(max_short_side, min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _align(audio: npt.NDArray[np.float32], start: float, rate: int) -> npt.NDArray[np.float32]:
    """Sound on the picture's clock: cut what comes before the first frame, fill what is missing there."""
    shift = round(start * rate)
    if shift < 0:
        return audio[:, -shift:]
    return np.pad(audio, ((0, 0), (shift, 0)))


def frames_at(decoded: Decoded, fps: float, count: int, start: float = 0.0) -> npt.NDArray[np.intp]:
    """Indices of the frames on show at `start`, `start + 1/fps`, ... [count]."""
    ticks = start + np.arange(count) / fps
    shown = np.searchsorted(decoded.pts, ticks + 1e-6, side="right") - 1
    return np.clip(shown, 0, len(decoded.pts) - 1)
