"""Reading a written clip back, to be sure that it is what it should be."""

from pathlib import Path
from typing import Literal

import av
import numpy as np

from veo_core.errors import ItemError
from veo_core.media.opening import Limits, open_media, undecodable
from veo_core.records.clip import MediaFacts


def verify(path: Path, *, fps: float, frames: int, made_by: Literal["remux", "transcode"]) -> MediaFacts:
    """Read a clip back: the times of all its pictures, its last ones decoded, all of its sound decoded.

    Args:
        path: an MP4 file.
        fps: the constant frame rate that it must have.
        frames: how many pictures it must have.
        made_by: how it was made, for the record.

    Raises:
        ItemError: rule "unverified": it has another number of frames, its first is not at 0, its rate is not
            constant, its sound is more than a frame longer or shorter, or its last frame does not decode.
    """
    try:
        with open_media(path, Limits()) as container:
            return _verify(container, fps, frames, made_by)
    except (av.error.FFmpegError, ValueError, StopIteration, IndexError) as error:
        raise ItemError("unverified", f"the clip does not decode: {undecodable(error)}") from None


def _verify(
    container: av.container.InputContainer, fps: float, frames: int, made_by: Literal["remux", "transcode"]
) -> MediaFacts:
    video, sound = container.streams.video[0], container.streams.audio[0]
    video.codec_context.thread_count = 1
    base = float(video.time_base)
    times: list[float] = []
    pieces = 0
    first_sound: float | None = None
    last_key = 0.0
    for packet in container.demux(video, sound):
        if not packet.size:
            continue
        if packet.stream.index == video.index:
            if packet.pts is not None and not packet.is_discard:
                times.append(packet.pts * base)
                last_key = max(last_key, times[-1]) if packet.is_keyframe else last_key
        else:
            for frame in packet.decode():
                first_sound = float(frame.time or 0.0) if first_sound is None else first_sound
                pieces += frame.samples
    times.sort()
    last = _last_decoded(container, video, last_key)
    rate = sound.codec_context.sample_rate
    audio_seconds = (first_sound or 0.0) + pieces / rate
    seconds = len(times) / fps
    steps = np.diff(times) - 1 / fps if len(times) > 1 else np.zeros(1)
    problems = {
        f"{len(times)} frames and not {frames}": len(times) != frames,
        "a first frame that is not at 0": not times or abs(times[0]) > 1e-6,
        "an uneven frame rate": bool(np.abs(steps).max() > 1e-3),
        f"{audio_seconds:.3f} s of sound for {seconds:.3f} s of picture": abs(audio_seconds - seconds)
        > 1 / fps,
        "a last frame that does not decode": not times or last is None or abs(last - times[-1]) > 1e-3,
    }
    wrong = [name for name, bad in problems.items() if bad]
    if wrong:
        raise ItemError("unverified", f"the clip has {wrong[0]}")
    return MediaFacts(
        width=video.codec_context.width,
        height=video.codec_context.height,
        codec=video.codec_context.codec.canonical_name,
        made_by=made_by,
        fps=fps,
        frames=len(times),
        seconds=seconds,
        audio_rate=rate,
        audio_channels=sound.codec_context.layout.nb_channels,
        audio_seconds=audio_seconds,
    )


def _last_decoded(
    container: av.container.InputContainer, video: av.VideoStream, last_key: float
) -> float | None:
    """Time of the last picture that decodes from the last key frame on."""
    container.seek(round(last_key / float(video.time_base)), stream=video)
    last = None
    for frame in container.decode(video):
        last = float(frame.time)
    return last
