"""Cutting a clip out of a file by copying its compressed pictures and sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from veo_core.media.encode import CodecName
from veo_core.media.opening import Limits, open_media
from veo_core.media.passes import Packet


@dataclass(frozen=True)
class Copyable:
    """What a stream must already be for its packets to be the clip. Times are in seconds."""

    codec: CodecName
    short_side: int
    fps: float
    frames: int
    gop_seconds: float
    audio_rate: int


def can_copy(
    container: av.container.InputContainer, packets: Sequence[Packet], first_pts: int, wanted: Copyable
) -> bool:
    """Whether the clip that starts at `first_pts` can be cut out of a file without a transcode.

    The stream must have the codec, size, pixel format, constant rate and sound that are wanted, the clip must
    start on a key frame, have one every `gop_seconds`, and its packets must be in one run of the stream: no
    picture of it may need one beyond it.

    Args:
        container: the file, open.
        packets: all its compressed pictures in the order of decoding.
        first_pts: presentation timestamp of the clip's first picture.
        wanted: what the clip must be.
    """
    video = container.streams.video[0]
    context = video.codec_context
    if not container.streams.audio:
        return False
    sound = container.streams.audio[0].codec_context
    fits = (
        context.codec.canonical_name == wanted.codec
        and min(context.width, context.height) == wanted.short_side
        and context.pix_fmt == "yuv420p"
        and sound.codec.canonical_name == "aac"
        and sound.sample_rate == wanted.audio_rate
        and sound.layout.nb_channels <= 2
    )
    if not fits:
        return False
    run = _run(packets, first_pts, wanted.frames)
    if len(run) < wanted.frames or not run[0].is_key:
        return False
    shown = sorted((packet.pts or 0, packet.is_key) for packet in run)
    times = (np.array([pts for pts, _ in shown]) - first_pts) * float(video.time_base)
    keys = np.append(times[[is_key for _, is_key in shown]], times[-1])
    even = np.abs(times - np.arange(wanted.frames) / wanted.fps).max() < 1e-3
    return bool(even and np.diff(keys).max() <= wanted.gop_seconds + 1e-3)


def remux(source: Path, target: Path, first_pts: int, *, frames: int, fps: float) -> None:
    """Copy `frames` pictures from `first_pts` on, and the sound of that time, into an MP4 file.

    Sound is cut between its packets. One packet before the first picture goes with it, which the decoder
    needs; the file's edit list says that it is not to be heard.

    Args:
        source: the file; `can_copy` said that the clip can be cut out of it.
        target: path of the MP4 file.
        first_pts: presentation timestamp of the first picture in its stream's time base.
        frames: number of pictures.
        fps: their rate.

    Raises:
        av.error.FFmpegError: the source cannot be read, or does not fit into an MP4 file.
    """
    with open_media(source, Limits()) as reading, _writing(target) as writing:
        video, sound = reading.streams.video[0], reading.streams.audio[0]
        copies = {s.index: writing.add_stream_from_template(s, opaque=True) for s in (video, sound)}
        copies[video.index].time_base = video.time_base
        start = float(first_pts * video.time_base)
        first = {video.index: first_pts, sound.index: round(start / float(sound.time_base))}
        end = first[sound.index] + round(frames / fps / float(sound.time_base))
        reading.seek(first_pts, stream=video)
        copied, before, is_sound_done = 0, None, False
        for packet in reading.demux(video, sound):
            if packet.pts is None or not packet.size:
                continue
            index = packet.stream.index
            if index == video.index:
                if copied == frames or (copied == 0 and packet.pts != first_pts):
                    continue
                copied += 1
                _copy(packet, copies[index], first[index], writing)
            elif packet.pts + (packet.duration or 0) <= first[index]:
                before = packet
            elif packet.pts < end:
                if before is not None:
                    _copy(before, copies[index], first[index], writing)
                    before = None
                _copy(packet, copies[index], first[index], writing)
            else:
                is_sound_done = True
            if copied == frames and is_sound_done:
                break


def _writing(target: Path) -> av.container.OutputContainer:
    return av.open(str(target), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})


def _copy(
    packet: av.Packet, stream: av.stream.Stream, first: int, writing: av.container.OutputContainer
) -> None:
    packet.pts -= first
    if packet.dts is not None:
        packet.dts -= first
    packet.stream = stream
    writing.mux(packet)


def _run(packets: Sequence[Packet], first_pts: int, frames: int) -> Sequence[Packet]:
    """The `frames` packets from the one at `first_pts` on, where they are the pictures shown from it on;
    otherwise nothing.
    """
    begin = next((index for index, packet in enumerate(packets) if packet.pts == first_pts), None)
    if begin is None:
        return ()
    run, rest = packets[begin : begin + frames], packets[begin + frames :]
    if any(packet.pts is None or packet.pts < first_pts for packet in run):
        return ()
    last = max(packet.pts or 0 for packet in run)
    return () if any(packet.pts is not None and first_pts <= packet.pts < last for packet in rest) else run
