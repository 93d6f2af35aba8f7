"""One trial: pictures that were marked and attacked, and what is read of them."""

from typing import NamedTuple

import numpy as np

from benchmarks.watermark.clips import UInt8
from veo_core.watermark.code import decode
from veo_core.watermark.keys import Key
from veo_core.watermark.mark import FALSE_ALARMS
from veo_core.watermark.payload import Payload, payload_of, signs_of
from veo_core.watermark.picture_reading import read_picture

KEY = Key(b"the key of the benchmark")


class Result(NamedTuple):
    """What was read after an attack: shares of the word's 64 bits and of the 128 signs, and verdicts."""

    bits: float
    signs: float
    payload: bool
    detected: bool


def payload_for(number: int) -> Payload:
    """A payload like those of a model's many clips."""
    return Payload(model_id=0x2026, generation_id=number)


def result_of(frames: UInt8, payload: Payload) -> Result:
    """What is read of pictures that may carry the payload."""
    reading = read_picture(frames, KEY.derive("picture"))
    signs = signs_of(payload, KEY)
    word, sent = decode(reading.soft)[0][0], decode(signs.astype(np.float64))[0][0]
    return Result(
        bits=float(np.mean(word == sent)),
        signs=float(np.mean(np.sign(reading.soft) == signs)),
        payload=payload_of(reading.soft, KEY) == payload,
        detected=reading.p_value < FALSE_ALARMS,
    )


def psnr(frames: UInt8, marked: UInt8) -> float:
    """Peak signal-to-noise ratio of a whole clip, decibels."""
    error = np.mean([np.square(a.astype(np.float32) - b).mean() for a, b in zip(frames, marked, strict=True)])
    return float(10 * np.log10(255**2 / error))
