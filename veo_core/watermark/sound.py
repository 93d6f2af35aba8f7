"""The mark in sound: keyed spread spectrum on the logarithmic spectrum, read blind and without weights."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.errors import UsageError
from veo_core.watermark.sound_cells import CellSums, contrast
from veo_core.watermark.sound_pattern import PERIOD, SLOT_SECONDS, SLOTS, keyed_pattern
from veo_core.watermark.sound_search import correlations, find, hypotheses, p_value
from veo_core.watermark.sound_spectrum import RATE, Float32, analyse, resampled
from veo_core.watermark.sound_writing import mark_of

SNR_DB = 25.2
"""The least ratio of the sound's energy to the mark's."""

LOWEST_RATE = 4_000
_WINDOW = 4 * PERIOD  # seconds that are read at once: at longer ones the steps of the speed are too coarse


@dataclass(frozen=True)
class SoundReading:
    """What the detector found in a sound.

    soft: how far each bit stands out, positive for +1, in standard deviations, float64 [n].
    statistic: standard deviations that the sync pattern stands out by.
    p_value: bound of the probability of such a statistic in a sound without the mark, all places that were
        tried counted.
    index: the key index of the pattern. start: seconds into the sound at which the pattern starts.
    speed, pitch: how much faster and higher than written the sound is.
    """

    soft: npt.NDArray[np.float64]
    statistic: float
    p_value: float
    index: int
    start: float
    speed: float
    pitch: float


def embed_sound(
    audio: Float32, rate: int, bits: npt.NDArray[np.integer], key: bytes, index: int = 0
) -> Float32:
    """Sound with a mark whose energy is at least `SNR_DB` below it; silence stays as it is.

    The mark lies between 0.64 and 7.5 kHz, under the sound's own envelope in time, never ahead of an attack,
    and no stronger than the detector needs.

    Args:
        audio: samples, float32 [c, s].
        rate: samples per second.
        bits: the coded payload, +1 or -1, [n].
        key: the secret.
        index: key index of the clip, so that clips of one key do not all carry one pattern.

    Raises:
        UsageError: the rate is too low, or the samples are not finite.
    """
    _check(audio, rate)
    total = float(np.square(audio, dtype=np.float64).sum())
    if not total:
        return audio.copy()
    allowed = total * 10.0 ** (-SNR_DB / 10.0)
    pattern = keyed_pattern(key, index, len(bits)).started(_first_slot(bits, key))
    low = mark_of(resampled(audio, rate, RATE), np.asarray(bits), pattern, key, allowed * RATE / rate)
    mark = resampled(low, RATE, rate)[:, : audio.shape[1]]
    limit = max(1.0, float(np.abs(audio).max()))
    marked = np.clip(audio + mark, -limit, limit)
    written = float(np.square(marked - audio, dtype=np.float64).sum())
    if written > allowed:
        marked = audio + (marked - audio) * np.float32(np.sqrt(allowed / written))
    return np.asarray(marked, np.float32)


def read_sound(
    audio: Float32, rate: int, bits: int, key: bytes, indices: Sequence[int] = (0,)
) -> SoundReading:
    """The mark of a key in a sound that may be cut, coded, resampled, faster or slower (0.8 to 1.25).

    A sound longer than 8.2 s is read in windows of that length; the one in which the pattern stands out the
    most counts.

    Args:
        audio: samples, float32 [c, s].
        rate: samples per second.
        bits: length of the coded payload.
        key: the secret.
        indices: key indices to try.

    Raises:
        UsageError: the rate is too low, or the samples are not finite.
    """
    _check(audio, rate)
    sound = resampled(audio, rate, RATE)
    patterns = [keyed_pattern(key, index, bits) for index in indices]
    length, samples = round(_WINDOW * RATE), max(sound.shape[1], 1)
    count = max(1, -(-samples // length))
    starts = np.linspace(0, max(0, samples - length), count).astype(int).tolist()
    places = [
        find(CellSums(contrast(analyse(sound[:, start : start + length]))), patterns) for start in starts
    ]
    best = int(np.argmax([place.statistic for place in places]))
    place = places[best]
    return SoundReading(
        soft=correlations(place.cells, patterns[place.number], bits)[1:],
        statistic=place.statistic,
        p_value=p_value(place.statistic, count * hypotheses(len(patterns))),
        index=indices[place.number],
        start=starts[best] / RATE + place.start * SLOT_SECONDS / place.speed,
        speed=place.speed,
        pitch=place.pitch,
    )


def _first_slot(bits: npt.NDArray[np.integer], key: bytes) -> int:
    """The slot that a clip's pattern starts with: by payload, so that marks of many clips do not add up."""
    message = np.packbits(np.asarray(bits) > 0).tobytes()
    return hmac.new(key, b"veo sound start\0" + message, hashlib.sha256).digest()[0] % SLOTS


def _check(audio: Float32, rate: int) -> None:
    if rate < LOWEST_RATE:
        raise UsageError(
            f"sound of {rate} samples per second cannot carry a mark: give {LOWEST_RATE} or more"
        )
    if not np.isfinite(audio).all():
        raise UsageError("the sound holds samples that are not finite")
