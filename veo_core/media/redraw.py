"""Changing the pictures of a prepared clip while its sound stays, packet for packet."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from veo_core.media.encode import CODECS, CodecName, encode_frames

UInt8 = npt.NDArray[np.uint8]
Planes = tuple[UInt8, UInt8, UInt8]


def redraw(
    source: Path, target: Path, change: Callable[[int, Planes], None], *, fps: float, crf: int | None = None
) -> None:
    """Write a clip again with changed pictures, encoded once, in the codec that it has.

    Args:
        source: an MP4 file with pictures in yuv420p and sound.
        target: where to write it.
        change: gets each picture's number and its planes, luma [h, w] and both chroma [h/2, w/2], to
            change in place.
        fps: the clip's constant frame rate.
        crf: the encoder's constant rate factor, None for its default.
    """
    with tempfile.TemporaryDirectory(prefix="veo-redraw-") as folder:
        silent = Path(folder) / "pictures.mp4"
        with av.open(str(source)) as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            name = video.codec_context.codec.canonical_name
            codec: CodecName = next((known for known in CODECS if known == name), "h264")
            encode_frames(
                silent,
                _changed(container.decode(video), change),
                height=video.codec_context.height,
                width=video.codec_context.width,
                fps=fps,
                audio=np.zeros((1, 0), np.float32),
                audio_rate=48_000,
                codec=codec,
                crf=crf,
            )
        _join(silent, source, target)


def _changed(
    frames: Iterator[av.VideoFrame], change: Callable[[int, Planes], None]
) -> Iterator[av.VideoFrame]:
    for number, frame in enumerate(frames):
        height, width = frame.height, frame.width
        packed = frame.to_ndarray(format="yuv420p")
        chroma = packed[height:].reshape(2, height // 2, width // 2)
        change(number, (packed[:height], chroma[0], chroma[1]))
        changed = av.VideoFrame.from_ndarray(packed, format="yuv420p")
        changed.colorspace, changed.color_range = frame.colorspace, frame.color_range
        changed.color_primaries, changed.color_trc = frame.color_primaries, frame.color_trc
        yield changed


def _join(pictures: Path, sound: Path, target: Path) -> None:
    """Copy the packets of one file's pictures and of another one's sound into a new file."""
    with (
        av.open(str(pictures)) as seen,
        av.open(str(sound)) as heard,
        av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as output,
    ):
        copies = {
            stream: output.add_stream_from_template(stream, opaque=True)
            for stream in (seen.streams.video[0], heard.streams.audio[0])
        }
        packets = [
            packet
            for container, stream in zip((seen, heard), copies, strict=True)
            for packet in container.demux(stream)
            if packet.size
        ]
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            packet.stream = copies[packet.stream]
            output.mux(packet)
