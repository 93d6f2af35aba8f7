"""Pictures of a file at its key frames, without decoding any other picture."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from veo_core.errors import ItemError
from veo_core.media.opening import Limits, open_media, undecodable


@dataclass(frozen=True)
class KeyFrame:
    """A picture and when it is shown.

    Attributes:
        time: presentation time in seconds from the file's first picture.
        picture: RGB, uint8 [h, w, 3].
    """

    time: float
    picture: npt.NDArray[np.uint8]


def key_frames(
    path: str | Path, *, count: int, max_short_side: int | None = None, limits: Limits | None = None
) -> list[KeyFrame]:
    """The last key frames at or before `count` moments, from a file's first to its last picture.

    A key frame stands alone in the file, so that each costs one picture's decoding; several moments may
    share one. Where an edit list hides the key frame before a moment, the first picture shown stands in.

    Args:
        path: an MP4/MOV or Matroska/WebM file.
        count: how many moments, evenly spread.
        max_short_side: pictures with a longer short side are scaled down to it.
        limits: what the file may cost.

    Raises:
        ItemError: the file cannot be decoded (rule "undecodable") or exceeds a limit (rule "limit").
    """
    try:
        with open_media(path, limits or Limits()) as container:
            video = container.streams.video[0]
            video.codec_context.thread_count = 1
            start, length = video.start_time or 0, _length(container, video)
            moments = np.linspace(start, start + length, count).astype(int).tolist()
            frames = [_key_frame_before(container, video, moment) for moment in moments]
            if None in frames:
                frames.append(_first_shown(container, video))
            found = {frame.pts: frame for frame in frames if frame is not None}
            return [
                KeyFrame(float((pts - start) * video.time_base), _picture(found[pts], max_short_side))
                for pts in sorted(found)
            ]
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise undecodable(error) from None


def _length(container: av.container.InputContainer, video: av.VideoStream) -> int:
    """From the first picture to the end, in units of the stream's time base."""
    if video.duration:
        return int(video.duration)
    return int((container.duration or 0) / av.time_base / video.time_base)


def _key_frame_before(
    container: av.container.InputContainer, video: av.VideoStream, moment: int
) -> av.VideoFrame | None:
    """The key frame that a seek to `moment` finds; None where it is not shown."""
    container.seek(moment, stream=video)
    context = video.codec_context
    for packet in container.demux(video):
        if packet.is_keyframe and packet.size:
            if packet.is_discard:
                return None
            frames = [*context.decode(packet), *context.decode(None)]
            context.flush_buffers()
            return frames[0] if frames else None
    return None


def _first_shown(container: av.container.InputContainer, video: av.VideoStream) -> av.VideoFrame:
    container.seek(video.start_time or 0, stream=video)
    for frame in container.decode(video):
        return frame
    raise ItemError("undecodable", "no frame could be decoded")


def _picture(frame: av.VideoFrame, max_short_side: int | None) -> npt.NDArray[np.uint8]:
    height, width = frame.height, frame.width
    scale = min(1.0, (max_short_side or min(height, width)) / min(height, width))
    size = {"width": max(1, round(scale * width)), "height": max(1, round(scale * height))}
    return np.asarray(frame.reformat(**size, format="rgb24").to_ndarray(), dtype=np.uint8)
