"""TensorBoard event files of training stages: scalars, and films made while the model trained."""

import math
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from veo_core.records.base import sha256_bytes

_HEADER = struct.Struct("<QI")
_FOOTER = 4


@dataclass
class Films:
    """What a model filmed at one step: by number, sha256 of the picture and of the sound."""

    step: int
    pictures: dict[str, str] = field(default_factory=dict)
    sounds: dict[str, str] = field(default_factory=dict)


@dataclass
class Events:
    """The content of an event file.

    Attributes:
        scalars: points (step, value) by name; a value that is no number is None.
        films: by step, oldest first.
        media: bytes and media type of pictures and sounds by their sha256.
        last: time of the last event, seconds since the epoch; 0 of an empty file.
    """

    scalars: dict[str, list[tuple[float, float | None]]] = field(default_factory=lambda: defaultdict(list))
    films: list[Films] = field(default_factory=list)
    media: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    last: float = 0.0


def read_events(data: bytes) -> Events:
    """An event file in TensorFlow's record format; what a crash cut short at its end is left out.

    Raises:
        ValueError: it is no event file, or tensorboard, which has its format, is not installed.
    """
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from tensorboard.compat.proto.event_pb2 import Event
    except ImportError:
        raise ValueError("needs tensorboard, which is not installed") from None
    events = Events()
    for record in _records(data):
        try:
            event = Event.FromString(record)
        except DecodeError as error:
            raise ValueError(f"no event file: {error}") from None
        events.last = max(events.last, float(event.wall_time))
        _take(event, events)
    return events


def _records(data: bytes) -> Iterator[bytes]:
    """Records: length, its checksum, the bytes, their checksum."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, _ = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if at + length + _FOOTER > len(data):
            return
        yield data[at : at + length]
        at += length + _FOOTER


def _take(event: Any, events: Events) -> None:
    films = Films(int(event.step))
    for value in event.summary.value:
        kind = value.WhichOneof("value")
        _, _, rest = value.tag.partition("/")
        number = rest.partition("/")[0]
        if kind == "simple_value":
            figure = float(value.simple_value)
            events.scalars[value.tag].append((float(event.step), figure if math.isfinite(figure) else None))
        elif kind == "image" and value.image.encoded_image_string.startswith(b"GIF8"):
            films.pictures[number] = _keep(events, value.image.encoded_image_string, "image/gif")
        elif kind == "audio":
            films.sounds[number] = _keep(events, value.audio.encoded_audio_string, "audio/wav")
    if films.pictures:
        events.films.append(films)


def _keep(events: Events, data: bytes, kind: str) -> str:
    digest = sha256_bytes(data)
    events.media[digest] = (data, kind)
    return digest
