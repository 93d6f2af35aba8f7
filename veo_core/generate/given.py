"""What a user gives a clip to start from: an image, a video or a sound, decoded within limits.

Pictures are set upright, scaled to cover the model's size and cut to its centre. Each reader returns, beside
the decoded media, a sentence that tells what was changed; empty where nothing was.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from veo_core.data.spec import ClipSpec
from veo_core.errors import ItemError, UsageError
from veo_core.media.geometry import Geometry, Scaler
from veo_core.media.opening import Limits, demuxer_of, open_media, undecodable
from veo_core.media.passes import Pass, Sound

Picture = npt.NDArray[np.uint8]

SOUND_RATE = 48_000
"""Samples per second of a given sound in the file that is written."""

_LIMITS = Limits(max_decoded_bytes=2 << 30)
_UNHEARD = 0.1  # seconds by which a sound may miss the clip's length without a word
_IMAGES = {b"\x89PNG": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe", b"BM": "bmp_pipe"}
_SOUNDS = {b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"\xff\xfb": "mp3", b"\xff\xf3": "mp3"}


@dataclass(frozen=True)
class GivenVideo:
    """A video to make sound for.

    frames: RGB pictures at the model's size and rate, uint8 [t, h, w, 3].
    is_longer: whether the file goes on after the clip's end.
    """

    frames: Picture
    is_longer: bool


@dataclass(frozen=True)
class GivenSound:
    """A sound to make pictures for.

    samples: mono at the model's rate, float32 [samples]. own: as it is given, at `SOUND_RATE`, float32 [c, l]
    of one or two channels. Both are of the clip's length.
    """

    samples: npt.NDArray[np.float32]
    own: npt.NDArray[np.float32]


def read_image(source: str | Path | bytes, height: int, width: int) -> tuple[Picture, str]:
    """An image at the model's size, uint8 [height, width, 3].

    Args:
        source: a file, or the bytes of one.

    Raises:
        UsageError: it cannot be read, is no PNG, JPEG, WebP or BMP file, is damaged, or exceeds a limit.
    """
    kinds = "a PNG, JPEG, WebP or BMP file"
    with _explained(source, "image"), _open(source, _image_demuxer, kinds) as container:
        video = container.streams.video[0]
        video.codec_context.options = {"max_pixels": _LIMITS.ffmpeg_max_pixels}
        frame = next(container.decode(video), None)
        if frame is None:
            raise ItemError("undecodable", "it holds no picture")
        if frame.width * frame.height > _LIMITS.max_pixels:
            raise ItemError("limit", f"{frame.width}x{frame.height} pixels are too many")
        shown = Geometry.of(frame, video).shown
        return _cover(frame, video, height, width, Scaler()), _what_changed("image", shown, height, width)


def read_video(path: str | Path, clip: ClipSpec) -> tuple[GivenVideo, str]:
    """The first pictures of a video, as many as a clip has, at the model's size.

    Raises:
        UsageError: it cannot be read or decoded, exceeds a limit, or is shorter than a clip.
    """
    ticks = np.arange(clip.frames) / clip.fps
    scaler = Scaler()
    kept: list[Picture] = []
    times: list[float] = []
    shown = (0.0, 0.0)
    is_longer = False
    with _explained(path, "video"), open_media(path, _LIMITS) as container:
        run = Pass(container, _LIMITS, sound=False)
        for frame in run.frames():
            time = run.times[-1] - run.times[0]
            if time > ticks[-1] + 1.5 / clip.fps:
                is_longer = True
                break
            shown = Geometry.of(frame, run.video).shown
            kept.append(_cover(frame, run.video, clip.height, clip.width, scaler))
            times.append(time)
        seconds = times[-1] + run.seconds_between()
    if seconds < clip.seconds - 1e-3:
        raise UsageError(f"video {path}: it lasts {seconds:.2f} s, the model's clips {clip.seconds:.2f} s")
    indices = np.clip(np.searchsorted(times, ticks + 1e-6, side="right") - 1, 0, None)
    notes = [_what_changed("video", shown, clip.height, clip.width)]
    if is_longer:
        notes.append(f"only the first {clip.seconds:g} s of the video are used")
    return GivenVideo(np.stack([kept[i] for i in indices]), is_longer), "; ".join(filter(None, notes))


def read_sound(path: str | Path, clip: ClipSpec) -> tuple[GivenSound, str]:
    """The first seconds of a sound, as many as a clip lasts; silence follows one that is shorter.

    Raises:
        UsageError: it cannot be read, is of no known kind, or is damaged.
    """
    kinds = "a WAV, FLAC, Ogg, MP3, MP4 or Matroska file"
    with _explained(path, "sound"), _open(path, _sound_demuxer, kinds) as container:
        if not container.streams.audio:
            raise ItemError("undecodable", "it holds no sound")
        stream = container.streams.audio[0]
        heard, own = (
            Sound(stream, rate=clip.audio_rate, channels=1),
            Sound(stream, rate=SOUND_RATE, channels=2),
        )
        seconds = 0.0
        for frame in container.decode(stream):
            heard.add(frame)
            own.add(frame)
            seconds += frame.samples / frame.sample_rate
            if seconds > clip.seconds + _UNHEARD:
                break
        samples, played = heard.samples(heard.start or 0.0), own.samples(own.start or 0.0)
        if samples is None or played is None:
            raise ItemError("undecodable", "it holds no sound")
    note = ""
    if seconds > clip.seconds + _UNHEARD:
        note = f"only the first {clip.seconds:g} s of the sound are used"
    elif seconds < clip.seconds - _UNHEARD:
        note = f"the sound lasts {seconds:.2f} s: silence follows it up to {clip.seconds:g} s"
    length = round(clip.seconds * SOUND_RATE)
    return GivenSound(_of_length(samples, clip.samples)[0], _of_length(played, length)), note


def own_pictures(path: str | Path, seconds: float) -> tuple[Picture, list[float], float]:
    """The pictures of a video's first seconds at their own size, upright: uint8 [t, h, w, 3] with even sides.

    Returns:
        The pictures, the presentation time of each in seconds, and how many there are in a second.

    Raises:
        UsageError: it cannot be decoded, or exceeds a limit.
    """
    pictures: list[Picture] = []
    with _explained(path, "video"), open_media(path, _LIMITS) as container:
        run = Pass(container, _LIMITS, sound=False)
        scaler, used = Scaler(), 0
        for frame in run.frames():
            if run.times[-1] - run.times[0] >= seconds - 1e-6:
                run.times.pop()
                break
            height, width = (2 * max(1, round(side / 2)) for side in Geometry.of(frame, run.video).shown)
            pictures.append(_cover(frame, run.video, height, width, scaler))
            used += pictures[-1].nbytes
            if used > _LIMITS.max_decoded_bytes:
                raise ItemError("limit", f"more than {_LIMITS.max_decoded_bytes} bytes of decoded pictures")
        times = [time - run.times[0] for time in run.times]
        return np.stack(pictures), times, 1.0 / run.seconds_between()


def _cover(frame: av.VideoFrame, stream: av.VideoStream, height: int, width: int, scaler: Scaler) -> Picture:
    """A picture upright, scaled to cover (height, width), and cut to its centre."""
    geometry = Geometry.of(frame, stream)
    tall, wide = geometry.shown
    scaled = scaler(frame, *geometry.coded_size(max(height / tall, width / wide)), "rgb24").to_ndarray()
    upright = np.rot90(scaled, geometry.turns)
    top, left = (upright.shape[0] - height) // 2, (upright.shape[1] - width) // 2
    return np.ascontiguousarray(upright[top : top + height, left : left + width]).astype(np.uint8, copy=False)


def _what_changed(what: str, shown: tuple[float, float], height: int, width: int) -> str:
    tall, wide = (round(side) for side in shown)
    if (tall, wide) == (height, width):
        return ""
    is_cut = abs(tall * width - wide * height) > max(tall * width, wide * height) * 0.01
    cut = "cut to its centre and " if is_cut else ""
    return f"the {what} of {wide}x{tall} is {cut}scaled to {width}x{height}"


def _of_length(samples: npt.NDArray[np.float32], length: int) -> npt.NDArray[np.float32]:
    """Samples [c, l] cut or followed by silence to [c, length]."""
    cut = samples[:, :length]
    return np.pad(cut, ((0, 0), (0, length - cut.shape[1]))).astype(np.float32, copy=False)


def _image_demuxer(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp_pipe"
    return next((name for magic, name in _IMAGES.items() if head.startswith(magic)), None)


def _sound_demuxer(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    return demuxer_of(head) or next((name for magic, name in _SOUNDS.items() if head.startswith(magic)), None)


def _open(
    source: str | Path | bytes, demuxer: Callable[[bytes], str | None], kinds: str
) -> av.container.InputContainer:
    """Open a file, or the bytes of one, with the one demuxer that its first bytes name, and no protocol but
    `file`."""
    if isinstance(source, bytes):
        head, size = source[:12], len(source)
    else:
        with Path(source).open("rb") as stream:
            head, size = stream.read(12), Path(source).stat().st_size
    name = demuxer(head)
    if name is None:
        raise ItemError("undecodable", f"not {kinds}")
    if size > _LIMITS.max_bytes:
        raise ItemError("limit", f"{size} bytes, at most {_LIMITS.max_bytes} are allowed")
    opened = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    options = {"protocol_whitelist": "file", "max_pixels": _LIMITS.ffmpeg_max_pixels}
    return av.open(opened, format=name, options=options, metadata_errors="replace")


@contextmanager
def _explained(source: str | Path | bytes, what: str) -> Iterator[None]:
    """Says in one line what is wrong with a file, or with the bytes of one."""
    name = what if isinstance(source, bytes) else f"{what} {source}"
    try:
        yield
    except ItemError as error:
        raise UsageError(f"{name}: {error}") from None
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise UsageError(f"{name}: cannot be decoded: {undecodable(error)}") from None
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
