"""TensorBoard event files in the store, readable while they grow: `tensorboard --logdir STORE/marks`."""

import io
import wave
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from veo_core.storage import Store


class Samples(NamedTuple):
    """Films to look at and listen to.

    frames: uint8 [n, t, h, w, 3]. audio: float32 [n, samples] in [-1, 1], as long as the frames.
    rate: samples of sound a second.
    """

    frames: npt.NDArray[np.uint8]
    audio: npt.NDArray[np.float32]
    rate: int


class EventLog:
    """An event file under the mark `key`.

    It only grows, so that its length, kept in a checkpoint, is all that a resumed run needs to go on from
    there: the log of a run that was killed equals that of one that was not.

    Args:
        keep: how many bytes of what is there already count; None for all.
    """

    def __init__(self, store: Store, key: str, keep: int | None) -> None:
        self._store, self._key = store, key
        self._data = io.BytesIO()
        self._data.write((store.get_mark(key) or b"")[:keep])
        self._writer = RecordWriter(self._data)
        if not self.size:
            self._write(Event(file_version="brain.Event:2"))

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._data.tell()

    def scalars(self, step: int, values: Mapping[str, float], *, time: float) -> None:
        """Add numbers by name; `time` in seconds since the epoch."""
        entries = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=time, step=step, summary=Summary(value=entries)))

    def samples(self, step: int, samples: Samples, *, time: float) -> None:
        """Add films: each an animated picture and its sound."""
        seconds = samples.audio.shape[1] / samples.rate
        entries = []
        for number, (frames, audio) in enumerate(zip(samples.frames, samples.audio, strict=True)):
            picture = Summary.Image(
                height=frames.shape[1],
                width=frames.shape[2],
                colorspace=3,
                encoded_image_string=_gif(frames, seconds),
            )
            sound = Summary.Audio(
                sample_rate=samples.rate,
                num_channels=1,
                length_frames=len(audio),
                encoded_audio_string=_wav(audio, samples.rate),
                content_type="audio/wav",
            )
            entries.append(Summary.Value(tag=f"samples/{number}/picture", image=picture))
            entries.append(Summary.Value(tag=f"samples/{number}/sound", audio=sound))
        self._write(Event(wall_time=time, step=step, summary=Summary(value=entries)))

    def flush(self) -> None:
        """Put what there is where it can be read."""
        self._store.set_mark(self._key, self._data.getvalue())

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())


def _gif(frames: npt.NDArray[np.uint8], seconds: float) -> bytes:
    """An endless GIF of frames [t, h, w, 3]; GIFs count time in hundredths of a second."""
    pictures = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=1000 * seconds / len(frames),
        loop=0,
    )
    return buffer.getvalue()


def _wav(audio: npt.NDArray[np.float32], rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(audio, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()
