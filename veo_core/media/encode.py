"""Writing ordinary MP4 files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Literal, get_args

import av
import numpy as np
import numpy.typing as npt

CodecName = Literal["h264", "av1", "vp9"]
CODECS: tuple[CodecName, ...] = get_args(CodecName)

_AUDIO_FRAME = 1024


@dataclass(frozen=True)
class _Encoder:
    """FFmpeg's name of an encoder, its default constant rate factor, and options that make it repeatable."""

    name: str
    crf: int
    options: dict[str, str] = field(default_factory=dict)


_ENCODERS: dict[CodecName, _Encoder] = {
    # With macroblock trees x264 reads memory that it never wrote, so that equal input gave unequal bytes.
    "h264": _Encoder("libx264", 18, {"preset": "veryfast", "x264-params": "mbtree=0"}),
    "av1": _Encoder("libsvtav1", 28, {"preset": "8", "svtav1-params": "lp=1"}),
    "vp9": _Encoder("libvpx-vp9", 28, {"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "0"}),
}


def encode(
    target: str | Path | IO[bytes],
    frames: npt.NDArray[np.uint8],
    *,
    fps: float,
    audio: npt.NDArray[np.float32] | None = None,
    audio_rate: int = 48_000,
    pts: Sequence[float] | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    gop_seconds: float = 1.0,
    audio_bitrate: int = 96_000,
) -> None:
    """Write pictures and sound as H.264 and AAC in an MP4 file; equal input gives equal bytes.

    Args:
        target: a path or a seekable binary file.
        frames: RGB pictures, uint8 [t, h, w, 3]; height and width must be even.
        fps: frames per second.
        audio: samples in [-1, 1], float32 [c, l]; None writes no sound track.
        audio_rate: samples per second.
        pts: presentation time of each frame in seconds where the frame rate varies.
        crf: x264's constant rate factor.
        preset: x264's speed preset.
        gop_seconds: seconds between key frames.
        audio_bitrate: bits per second of the AAC track.
    """
    with _open_mp4(target) as container:
        height, width = frames.shape[1:3]
        video = _add_picture(container, "h264", fps, height, width, crf=crf, gop_seconds=gop_seconds)
        video.options |= {"preset": preset}
        if pts is not None:
            video.codec_context.time_base = Fraction(1, 90_000)
        # The sound track must be there before the first packet is written.
        sound = None if audio is None else _add_sound(container, len(audio), audio_rate, audio_bitrate)
        for frame in _timed(_as_frames(frames), fps, pts):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None and audio is not None:
            _write_sound(container, sound, audio, audio_rate)


def encode_frames(
    target: Path,
    frames: Iterable[av.VideoFrame],
    *,
    height: int,
    width: int,
    fps: float,
    audio: npt.NDArray[np.float32],
    audio_rate: int,
    codec: CodecName = "h264",
    crf: int | None = None,
    gop_seconds: float = 1.0,
    audio_bitrate: int = 96_000,
) -> None:
    """Write yuv420p frames at a constant rate and sound as AAC in an MP4 file; equal input gives equal bytes.

    Args:
        target: a path.
        frames: pictures of the same size, even in height and width; their matrix and range go on record.
        height: pixels.
        width: pixels.
        fps: frames per second.
        audio: samples in [-1, 1], float32 [c, l].
        audio_rate: samples per second.
        codec: what encodes the pictures.
        crf: the encoder's constant rate factor; 18 for H.264, 28 for AV1 and VP9 where None.
        gop_seconds: longest time between key frames.
        audio_bitrate: bits per second of the AAC track.
    """
    with _open_mp4(target) as container:
        video = _add_picture(container, codec, fps, height, width, crf=crf, gop_seconds=gop_seconds)
        if codec == "h264":
            video.options |= {"sc_threshold": "0"}  # key frames at regular times only
        sound = _add_sound(container, len(audio), audio_rate, audio_bitrate)
        for index, frame in enumerate(_timed(frames, fps, None)):
            if index == 0:
                context = video.codec_context
                context.colorspace, context.color_range = frame.colorspace, frame.color_range
                context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _write_sound(container, sound, audio, audio_rate)


def _open_mp4(target: str | Path | IO[bytes]) -> av.container.OutputContainer:
    in_file = isinstance(target, str | Path)
    # The index moves to the front by a second pass over the file, for which FFmpeg opens it by name.
    options = {"movflags": "+faststart"} if in_file else {}
    return av.open(str(target) if in_file else target, "w", format="mp4", options=options)


def _add_picture(
    container: av.container.OutputContainer,
    codec: CodecName,
    fps: float,
    height: int,
    width: int,
    *,
    crf: int | None,
    gop_seconds: float,
) -> av.VideoStream:
    encoder = _ENCODERS[codec]
    video = container.add_stream(encoder.name, rate=Fraction(fps).limit_denominator(1001))
    video.height, video.width = height, width
    video.pix_fmt = "yuv420p"
    video.codec_context.gop_size = max(1, round(gop_seconds * fps))
    video.codec_context.thread_count = 1
    video.options = encoder.options | {"crf": str(encoder.crf if crf is None else crf)}
    return video


def _as_frames(frames: npt.NDArray[np.uint8]) -> Iterator[av.VideoFrame]:
    for picture in frames:
        yield av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")


def _timed(
    frames: Iterable[av.VideoFrame], fps: float, pts: Sequence[float] | None
) -> Iterator[av.VideoFrame]:
    """Frames with their presentation times; which kind of picture each was is left to the encoder."""
    period = 1 / Fraction(fps).limit_denominator(1001)
    for index, frame in enumerate(frames):
        frame.pict_type = 0
        if pts is None:
            frame.pts, frame.time_base = index, period
        else:
            frame.pts, frame.time_base = round(pts[index] * 90_000), Fraction(1, 90_000)
        yield frame


def _add_sound(
    container: av.container.OutputContainer, channels: int, rate: int, bitrate: int
) -> av.AudioStream:
    sound = container.add_stream("aac", rate=rate, layout="mono" if channels == 1 else "stereo")
    sound.bit_rate = bitrate
    # FFmpeg's fast coder: measured 2.6 times as fast as its default and 20 to 30 dB closer on tones.
    sound.options = {"aac_coder": "fast"}
    return sound


def _write_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, audio: npt.NDArray[np.float32], rate: int
) -> None:
    layout = "mono" if audio.shape[0] == 1 else "stereo"
    samples = np.ascontiguousarray(np.clip(audio, -1.0, 1.0), dtype=np.float32)
    for start in range(0, samples.shape[1], _AUDIO_FRAME):
        piece = np.ascontiguousarray(samples[:, start : start + _AUDIO_FRAME])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
