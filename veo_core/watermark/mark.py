"""The one way to mark a clip, in picture and sound, and to read the mark back."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.records.base import Record
from veo_core.watermark.chance import joined
from veo_core.watermark.keys import Key
from veo_core.watermark.payload import CODED_BITS, INDICES, Payload, key_index, payload_of, signs_of
from veo_core.watermark.picture_reading import PictureReading, read_picture
from veo_core.watermark.picture_writing import embed_picture
from veo_core.watermark.sound import LOWEST_RATE, SoundReading, embed_sound, read_sound

FALSE_ALARMS = 1e-6
"""Probability that a clip without a mark is taken for a marked one."""

_MIXED_SECOND, _MIXED_SHARE = 5.0, 0.4  # standard deviations; of the pattern that stands out the most

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class Reading(Record):
    """What was found of a mark in a clip."""

    detected: bool = Field(description=f"whether p_value is below {FALSE_ALARMS:g}")
    payload: Payload | None = Field(description="what the mark says; none where it is not read without doubt")
    p_value: float = Field(
        description="bound of the probability of such a reading without a mark, picture and sound together"
    )
    p_value_picture: float
    p_value_sound: float | None = Field(description="none without sound that can carry a mark")
    mixed: bool = Field(
        description="whether marks of several clips lie over each other, as where residuals of marked clips "
        "were averaged and added; such a mark is found, and its payload is not believed"
    )
    key_id: str | None = Field(description="id of the key that the mark was found with")
    development_key: bool = Field(
        description="whether that key is the published one: anyone can read and forge its marks"
    )


def mark(
    frames: UInt8, audio: Float32 | None, rate: int, payload: Payload, keys: Sequence[Key]
) -> tuple[UInt8, Float32 | None]:
    """A clip with a mark in picture and sound; equal input gives an equal result.

    The picture's peak signal-to-noise ratio is at least 40 dB and the sound's signal-to-noise ratio at least
    25 dB. Silence stays silent.

    Args:
        frames: RGB pictures, uint8 [t, h, w, 3].
        audio: samples, float32 [c, s]; None without sound. Below `LOWEST_RATE` it stays as it is.
        rate: samples per second.
        payload: what the mark says.
        keys: the first one marks.

    Raises:
        UsageError: the pictures are too small for a mark, or samples are not finite.
    """
    key = keys[0]
    signs, index = signs_of(payload, key), key_index(payload, key)
    marked = embed_picture(frames, signs, key.derive("picture"), index)
    if audio is not None and rate >= LOWEST_RATE:
        audio = embed_sound(audio, rate, signs, key.derive("sound"), index)
    return marked, audio


def read(frames: UInt8, audio: Float32 | None, rate: int, keys: Sequence[Key]) -> Reading:
    """The mark in a clip: each key is tried, and the one whose reading is the least likely by chance counts.

    Args:
        frames: RGB pictures, uint8 [t, h, w, 3].
        audio: samples, float32 [c, s]; None without sound.
        rate: samples per second.
        keys: the keys that may have marked it.

    Raises:
        UsageError: samples are not finite.
    """
    readings = [_read(frames, audio, rate, key, len(keys)) for key in keys]
    return min(readings, key=lambda reading: (reading.p_value, reading.payload is None))


def _read(frames: UInt8, audio: Float32 | None, rate: int, key: Key, keys: int) -> Reading:
    picture = read_picture(frames, key.derive("picture"))
    sound = None
    if audio is not None and audio.size and rate >= LOWEST_RATE:
        sound = read_sound(audio, rate, CODED_BITS, key.derive("sound"), range(INDICES))
    p_value = picture.p_value if sound is None else joined(picture.p_value, sound.p_value)
    p_value = min(1.0, keys * p_value)
    detected = p_value < FALSE_ALARMS
    mixed = detected and picture.second > max(_MIXED_SECOND, _MIXED_SHARE * picture.statistic)
    return Reading(
        detected=detected,
        payload=_payload(picture, sound, key) if detected and not mixed else None,
        p_value=p_value,
        p_value_picture=min(1.0, keys * picture.p_value),
        p_value_sound=None if sound is None else min(1.0, keys * sound.p_value),
        mixed=mixed,
        key_id=key.id if detected else None,
        development_key=detected and key.development,
    )


def _payload(picture: PictureReading, sound: SoundReading | None, key: Key) -> Payload | None:
    """What picture and sound say together, or else each alone, if the pattern's index agrees with it."""
    ways = [(_weighed(picture.soft), picture.index)]
    if sound is not None:
        if sound.index == picture.index:
            ways.insert(0, (_weighed(picture.soft) + _weighed(sound.soft), picture.index))
        ways.append((sound.soft, sound.index))
    for soft, index in ways:
        payload = payload_of(soft, key)
        if payload is not None and key_index(payload, key) == index:
            return payload
    return None


def _weighed(soft: Float64) -> Float64:
    """Log-likelihoods of signs in noise of variance 1, up to a constant factor."""
    return soft * math.sqrt(max(float(np.square(soft).mean()) - 1.0, 0.0))
