"""The mark in sound: quality, what it survives, false alarms, whether the world's contacts are still heard.

SEED=123 QUICK=1 python -m benchmarks.watermark_sound
"""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.report import Row, publish, quick, seed
from benchmarks.watermark_sounds import (
    FURTHER,
    KINDS,
    REQUIRED,
    Attack,
    Float32,
    coded,
    sound,
    world_sound,
)
from veo_core.evaluate.intervals import bootstrap_mean, wilson
from veo_core.evaluate.sync import match_events
from veo_core.progress import track
from veo_core.watermark.keys import DEVELOPMENT_KEY
from veo_core.watermark.payload import CODED_BITS, INDICES, Payload, key_index, payload_of, signs_of
from veo_core.watermark.sound import embed_sound, read_sound
from veo_core.world.detect_sound import hear

DEFAULT_SEED = 6_110_427
RATE_OF_ALARMS = 1e-6
KEY = DEVELOPMENT_KEY
SECRET = KEY.derive("sound")
_ATTACKS: Mapping[str, Attack] = {**REQUIRED, **FURTHER}


class Trial(NamedTuple):
    """One marked clip under every attack: (found, payload read, share of right signs) of each."""

    snr: float
    results: dict[str, tuple[bool, bool, float]]


def main() -> None:
    used = seed(DEFAULT_SEED)
    clips, windows, heard = (12, 200, 20) if quick() else (200, 10_000, 100)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        rows = [
            *surviving(pool, "clips", clips, used),
            *surviving(pool, "embedded world", clips, used),
            *alarms(pool, windows, used),
            *hearing(pool, heard, used),
        ]
    publish("watermark", rows, used_seed=used, section="sound")


def clip(name: str, number: int, used: int) -> tuple[Float32, int]:
    """A sound and its rate: as in the embedded world, or of 4 to 8 s at 44.1 or 48 kHz, half in stereo."""
    if name == "embedded world":
        return world_sound(used + number, 16_000, 2.125), 16_000
    rate = 48_000 if number % 4 else 44_100
    kinds = [*KINDS, "world"]
    kind, turn = kinds[number % len(kinds)], number // len(kinds)
    seconds = 4.0 if turn % 2 else 8.0
    if kind == "world":
        return world_sound(used + number, 48_000, 4.0), 48_000
    return sound(kind, used + number, rate, seconds, channels=1 + turn % 2), rate


def surviving(pool: ProcessPoolExecutor, name: str, count: int, used: int) -> Iterator[Row]:
    """How many marks are found at a false-alarm rate of 1e-6, and how much of the payload is read."""
    trials = list(
        track(pool.map(partial(_trial, name, used), range(count)), total=count, label=name, unit="clips")
    )
    ratios = [trial.snr for trial in trials]
    yield Row(f"{name}: least signal to mark", min(ratios), "dB", target=25.0)
    yield Row(f"{name}: mean signal to mark", float(np.mean(ratios)), "dB")
    for attack in _ATTACKS:
        found, read, shares = zip(*(trial.results[attack] for trial in trials), strict=True)
        target = 0.95 if attack in REQUIRED else None
        detected = wilson(sum(found), count)
        yield Row(
            f"{name}, {attack}: found",
            sum(found) / count,
            "share",
            ci_low=detected.low,
            ci_high=detected.high,
            target=target,
        )
        agreed = bootstrap_mean(shares, seed=used)
        yield Row(
            f"{name}, {attack}: signs right",
            float(np.mean(shares)),
            "share",
            ci_low=agreed.low,
            ci_high=agreed.high,
            target=target,
        )
        whole = wilson(sum(read), count)
        yield Row(
            f"{name}, {attack}: payload read",
            sum(read) / count,
            "share",
            ci_low=whole.low,
            ci_high=whole.high,
        )


def _trial(name: str, used: int, number: int) -> Trial:
    rng = np.random.default_rng([used, number])
    payload = Payload(model_id=int(rng.integers(1 << 16)), generation_id=int(rng.integers(1 << 32)))
    bits, index = signs_of(payload, KEY), key_index(payload, KEY)
    audio, rate = clip(name, number, used)
    marked = embed_sound(audio, rate, bits, SECRET, index)
    ratio = np.square(audio, dtype=np.float64).sum() / np.square(marked - audio, dtype=np.float64).sum()
    results = {}
    for attack, change in _ATTACKS.items():
        reading = read_sound(change(marked, rate), rate, CODED_BITS, SECRET, range(INDICES))
        found = reading.p_value <= RATE_OF_ALARMS
        agreed = float(((reading.soft > 0) == (bits > 0)).mean())
        results[attack] = found, found and payload_of(reading.soft, KEY) == payload, agreed
    return Trial(10.0 * float(np.log10(ratio)), results)


def alarms(pool: ProcessPoolExecutor, count: int, used: int) -> Iterator[Row]:
    """Windows of 2 s without a mark, each read with a key of its own under all indices and speeds."""
    values = list(
        track(
            pool.map(partial(_unmarked, used), range(count), chunksize=10),
            total=count,
            label="unmarked",
            unit="windows",
        )
    )
    yield Row("unmarked windows", count, "windows")
    yield Row("false alarms at 1e-6", sum(p <= RATE_OF_ALARMS for p in values), "windows", target=0, op="<=")
    expected = wilson(sum(p <= 0.01 for p in values), count)
    yield Row(
        "p-values up to 0.01",
        float(np.mean(np.asarray(values) <= 0.01)),
        "share",
        ci_low=expected.low,
        ci_high=expected.high,
        target=0.01,
        op="<=",
    )
    yield Row("least p-value", min(values), "")


def _unmarked(used: int, number: int) -> float:
    kinds = [*KINDS, "world", "coded"]
    kind = kinds[number % len(kinds)]
    if kind == "world":
        audio = world_sound(used + number, 16_000, 2.125)
    elif kind == "coded":
        audio = coded(sound("music", used + number, 16_000, 2.125), 16_000, "aac", 64_000)
    else:
        audio = sound(kind, used + number, 16_000, 2.125)
    return read_sound(audio, 16_000, CODED_BITS, f"key {used} {number}".encode(), range(INDICES)).p_value


def hearing(pool: ProcessPoolExecutor, count: int, used: int) -> Iterator[Row]:
    """The onsets that the evaluation's detector hears before and after marking, each through AAC."""
    heard = list(pool.map(partial(_heard, used), range(count)))
    before, missed, added, moved = (np.asarray(values) for values in zip(*heard, strict=True))
    yield Row("onsets in unmarked clips", int(before.sum()), "onsets")
    yield Row("onsets that marking hides", int(missed.sum()), "onsets", target=0, op="<=")
    yield Row("onsets that marking adds", int(added.sum()), "onsets", target=0, op="<=")
    yield Row("furthest that an onset moves", 1e3 * float(moved.max()), "ms", target=10.0, op="<=")


def _heard(used: int, number: int) -> tuple[int, int, int, float]:
    audio, rate = clip("embedded world", number, used)
    bits = np.random.default_rng([used, number]).choice([-1, 1], CODED_BITS)
    marked = embed_sound(audio, rate, bits, SECRET, number % INDICES)
    plain, with_mark = (hear(coded(one, rate, "aac", 96_000), rate).onsets for one in (audio, marked))
    matches = match_events(plain, with_mark, 0.02)
    return (
        len(plain),
        len(plain) - len(matches),
        len(with_mark) - len(matches),
        _furthest([match.error for match in matches]),
    )


def _furthest(errors: Sequence[float]) -> float:
    return max((abs(error) for error in errors), default=0.0)


if __name__ == "__main__":
    main()
