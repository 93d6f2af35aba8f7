"""Opening untrusted media files within limits."""

from dataclasses import dataclass
from pathlib import Path

import av

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

    @property
    def ffmpeg_max_pixels(self) -> str:
        """The limit for FFmpeg, which counts rows with their padding; frames are checked again."""
        return str(2 * self.max_pixels)


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
    options = {"protocol_whitelist": "file", "max_pixels": limits.ffmpeg_max_pixels}
    try:
        container = av.open(str(path), format=demuxer, options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise undecodable(error) from None
    try:
        _check(container, limits)
    except ItemError:
        container.close()
        raise
    return container


def demuxer_of(head: bytes) -> str | None:
    """The demuxer that a file's first 12 bytes name, None where no allowed one fits."""
    return next((name for magic, name in DEMUXERS.items() if magic in (head[4:8], head[:4])), None)


def undecodable(error: Exception) -> ItemError:
    """What went wrong, without the path that FFmpeg's errors name: equal files fail with equal words."""
    reason = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
    return ItemError("memory" if isinstance(error, MemoryError) else "undecodable", reason)


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
