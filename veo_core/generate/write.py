"""Generated clips as files, which appear whole or not at all, and made sounds under given videos."""

import tempfile
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.generate.given import own_pictures
from veo_core.media.encode import encode
from veo_core.media.opening import Limits, open_media

Sound = npt.NDArray[np.float32]


def write_file(path: Path, data: bytes) -> None:
    """Write a finished clip.

    Raises:
        UsageError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def dubbed(source: Path, *, seconds: float | None, audio: Sound, audio_rate: int) -> bytes:
    """An MP4 file of a video's own pictures with a new sound float32 [c, l].

    The compressed pictures are copied as they are, or encoded again at their own size where the video goes on
    after the sound.

    Args:
        seconds: how much of the video is kept; all of it where None.

    Raises:
        UsageError: the video cannot be read, or not be joined with the sound.
    """
    with tempfile.TemporaryDirectory(prefix="veo-sound-") as folder:
        target, sound = Path(folder) / "dubbed.mp4", Path(folder) / "sound.mp4"
        try:
            if seconds is not None:
                frames, pts, fps = own_pictures(source, seconds)
                encode(target, frames, fps=fps, pts=pts, audio=audio, audio_rate=audio_rate)
            else:
                still = np.zeros((1, 16, 16, 3), np.uint8)
                encode(sound, still, fps=1.0, audio=audio, audio_rate=audio_rate)
                _join(source, sound, target)
        except (av.error.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"{source}: cannot be given a new sound: {reason}") from None
        return target.read_bytes()


def _join(pictures: Path, sound: Path, target: Path) -> None:
    """Copy the packets of one file's pictures and of another one's sound into a new file."""
    with (
        open_media(pictures, Limits()) as seen,
        open_media(sound, Limits()) as heard,
        av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as output,
    ):
        streams = (seen.streams.video[0], heard.streams.audio[0])
        copies = {stream: output.add_stream_from_template(stream, opaque=True) for stream in streams}
        packets = [
            packet
            for file, stream in zip((seen, heard), streams, strict=True)
            for packet in file.demux(stream)
            if packet.size
        ]
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            packet.stream = copies[packet.stream]
            output.mux(packet)
