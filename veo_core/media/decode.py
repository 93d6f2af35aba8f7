"""Decoding of untrusted media files within limits."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        frames: RGB pictures, uint8 [t, h, w, 3].
        pts: presentation time of each frame in seconds from the first, float64 [t].
        audio: samples in [-1, 1], float32 [c, l], from the first frame's time on; None without a sound track.
        audio_rate: samples per second, 0 without a sound track.
        fps: average frames per second.
    """

    frames: npt.NDArray[np.uint8]
    pts: npt.NDArray[np.float64]
    audio: npt.NDArray[np.float32] | None
    audio_rate: int
    fps: float

    @property
    def seconds(self) -> float:
        """Time that the picture covers: the last frame lasts as long as an average one."""
        return float(self.pts[-1]) + 1.0 / self.fps


def decode(
    path: str | Path,
    *,
    limits: Limits | None = None,
    size: tuple[int, int] | None = None,
    audio_rate: int | None = None,
    mono: bool = False,
) -> Decoded:
    """Decode a whole file.

    Args:
        path: an MP4/MOV or Matroska/WebM file.
        limits: what the file may cost.
        size: (height, width) to scale pictures to; their own size where None.
        audio_rate: samples per second to resample to; the track's own rate where None.
        mono: mix the sound down to one channel.

    Raises:
        ItemError: the file cannot be decoded (rule "undecodable") or exceeds a limit (rule "limit").
    """
    limits = limits or Limits()
    try:
        with open_media(path, limits) as container:
            return _decode(container, limits, size, audio_rate, mono)
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise ItemError("undecodable", f"{type(error).__name__}: {error}") from None


def open_media(path: str | Path, limits: Limits) -> av.container.InputContainer:
    """Open a file with the one demuxer that its first bytes name, and no protocol but `file`.

    Raises:
        ItemError: unknown kind of file, no picture, or a limit exceeded.
    """
    path = Path(path)
    with path.open("rb") as stream:
        head = stream.read(12)
    demuxer = next((name for magic, name in DEMUXERS.items() if magic in (head[4:8], head[:4])), None)
    if demuxer is None:
        raise ItemError("undecodable", "not an MP4, MOV, Matroska or WebM file")
    if path.stat().st_size > limits.max_bytes:
        raise ItemError("limit", f"{path.stat().st_size} bytes, at most {limits.max_bytes} are allowed")
    options = {"protocol_whitelist": "file", "max_pixels": str(limits.max_pixels)}
    try:
        container = av.open(str(path), format=demuxer, options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise ItemError("undecodable", f"{type(error).__name__}: {error}") from None
    try:
        _check(container, limits)
    except ItemError:
        container.close()
        raise
    return container


def _check(container: av.container.InputContainer, limits: Limits) -> None:
    if len(container.streams) > limits.max_streams:
        raise ItemError(
            "limit", f"{len(container.streams)} streams, at most {limits.max_streams} are allowed"
        )
    if not container.streams.video:
        raise ItemError("undecodable", "no picture in the file")
    video = container.streams.video[0]
    if video.codec_context.width * video.codec_context.height > limits.max_pixels:
        raise ItemError(
            "limit", f"{video.codec_context.width}x{video.codec_context.height} pixels are too many"
        )
    if container.duration and container.duration / av.time_base > limits.max_seconds:
        raise ItemError("limit", f"{container.duration / av.time_base:.1f} s, at most {limits.max_seconds} s")


def _decode(
    container: av.container.InputContainer,
    limits: Limits,
    size: tuple[int, int] | None,
    audio_rate: int | None,
    mono: bool,
) -> Decoded:
    video = container.streams.video[0]
    sound = container.streams.audio[0] if container.streams.audio else None
    pictures: list[npt.NDArray[np.uint8]] = []
    times: list[float] = []
    pieces: list[npt.NDArray[np.float32]] = []
    sound_start: float | None = None
    resampler = None
    if sound is not None:
        layout = "mono" if mono else sound.codec_context.layout.name
        resampler = av.AudioResampler(
            format="fltp", layout=layout, rate=audio_rate or sound.codec_context.sample_rate
        )
    for frame in container.decode([stream for stream in (video, sound) if stream is not None]):
        if isinstance(frame, av.VideoFrame):
            if frame.width * frame.height > limits.max_pixels:
                raise ItemError("limit", f"{frame.width}x{frame.height} pixels are too many")
            if len(pictures) >= limits.max_frames:
                raise ItemError("limit", f"more than {limits.max_frames} frames")
            height, width = size or (frame.height, frame.width)
            pictures.append(frame.to_ndarray(format="rgb24", width=width, height=height))
            times.append(
                float(frame.time) if frame.time is not None else len(times) / float(video.average_rate)
            )
        elif resampler is not None:
            if sound_start is None:
                sound_start = float(frame.time or 0.0)
            pieces.extend(piece.to_ndarray() for piece in resampler.resample(frame))
    if not pictures:
        raise ItemError("undecodable", "no frame could be decoded")
    if len({picture.shape for picture in pictures}) != 1:
        raise ItemError("undecodable", "the picture changes its size")
    if resampler is not None and pieces:
        pieces.extend(piece.to_ndarray() for piece in resampler.resample(None))
    pts = np.asarray(times) - times[0]
    if len(pts) > 1 and not np.all(np.diff(pts) > 0):
        raise ItemError("undecodable", "presentation times do not increase")
    step = float(pts[-1]) / (len(pts) - 1) if len(pts) > 1 else 1.0 / float(video.average_rate or 1)
    audio = None
    if pieces and resampler is not None:
        audio = _align(np.concatenate(pieces, axis=1), (sound_start or 0.0) - times[0], resampler.rate)
    return Decoded(np.stack(pictures), pts, audio, resampler.rate if audio is not None else 0, 1.0 / step)


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
