"""What is read of a mark after each attack."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.report import Row, quick
from benchmarks.spread import spread
from benchmarks.watermark.attacks import (
    Attack,
    av1,
    blur,
    both,
    crop,
    drop,
    flip,
    grey,
    h264,
    h265,
    light,
    noise,
    resize,
    rotate,
    speed,
    trim,
    vp9,
)
from benchmarks.watermark.clips import KINDS, UInt8, clip_of, world_frames
from benchmarks.watermark.trial import KEY, Result, payload_for, psnr, result_of
from veo_core.evaluate.intervals import bootstrap_mean, wilson
from veo_core.watermark.mark import mark


class Bar(NamedTuple):
    """An attack and the least shares of bits read right and of clips detected that are asked for."""

    attack: Attack
    bits: float | None = None
    detected: float | None = None


def unchanged(frames: UInt8, _: np.random.Generator) -> UInt8:
    return frames


ATTACKS: dict[str, Bar] = {
    "none": Bar(unchanged, bits=0.99),
    "H.264 CRF 23": Bar(h264(23), bits=0.99),
    "H.264 CRF 30": Bar(h264(30), bits=0.95, detected=0.95),
    "H.264 CRF 40": Bar(h264(40)),
    "H.265 CRF 30": Bar(h265(30)),
    "AV1 CRF 45": Bar(av1(45), bits=0.95),
    "VP9 CRF 45": Bar(vp9(45)),
    "resize 0.55": Bar(resize(0.55), detected=0.95),
    "resize to a square": Bar(resize(1.0, 256 / 448)),
    "crop 0.71": Bar(crop(0.71), detected=0.95),
    "crop 0.55": Bar(crop(0.55)),
    "brightness 0.5": Bar(light(0.5), detected=0.95),
    "brightness 1.5": Bar(light(1.5), detected=0.95),
    "contrast 1.5": Bar(light(1.0, 1.5), detected=0.95),
    "noise of 5 levels": Bar(noise(5), detected=0.95),
    "grey": Bar(grey),
    "blur 9": Bar(blur(9)),
    "rotation by 10 degrees": Bar(rotate(10)),
    "25 % of frames dropped": Bar(drop(0.25), detected=0.95),
    "speed 1.25": Bar(speed(1.25), detected=0.95),
    "trimmed to half": Bar(trim(0.5), detected=0.95),
    "horizontal flip": Bar(flip, detected=0.95),
    "CRF 23, crop 0.71, brightness 0.5": Bar(both(h264(23), crop(0.71), light(0.5)), detected=0.90),
    "crop 0.71, CRF 30": Bar(both(crop(0.71), h264(30))),
}
SMALL_ATTACKS: dict[str, Bar] = {
    "none": Bar(unchanged),
    "H.264 CRF 18": Bar(h264(18)),
    "H.264 CRF 23": Bar(h264(23), detected=0.90),
    "H.264 CRF 30": Bar(h264(30)),
    "AV1 CRF 35": Bar(av1(35)),
    **{name: ATTACKS[name] for name in ("resize 0.55", "crop 0.71", "brightness 0.5", "brightness 1.5")},
    **{name: ATTACKS[name] for name in ("contrast 1.5", "noise of 5 levels", "25 % of frames dropped")},
    **{name: ATTACKS[name] for name in ("speed 1.25", "trimmed to half", "horizontal flip")},
    "CRF 23, crop 0.71, brightness 0.5": Bar(both(h264(23), crop(0.71), light(0.5))),
}


def survival(clips: int, used_seed: int, small: int | None = None) -> Iterator[Row]:
    """Each clip marked once and attacked in every way."""
    attacks = ATTACKS if small is None else SMALL_ATTACKS
    found = spread(partial(_survived, used_seed=used_seed, small=small), clips, "clips")
    quality = [psnr for psnr, _ in found]
    yield Row("clips", len(found), "clips", target=None if quick() else 200)
    yield Row("picture PSNR, least", min(quality), "dB", target=40.0)
    for name, bar in attacks.items():
        results = [results[name] for _, results in found]
        accuracy = bootstrap_mean([result.bits for result in results], seed=used_seed)
        detected = wilson(sum(result.detected for result in results), len(results))
        payload = wilson(sum(result.payload for result in results), len(results))
        yield _row(f"{name}: bit accuracy", accuracy.value, accuracy.low, accuracy.high, bar.bits)
        yield Row(f"{name}: signs right before decoding", float(np.mean([r.signs for r in results])), "share")
        yield _row(f"{name}: payload read", payload.value, payload.low, payload.high, None)
        yield _row(f"{name}: detected at 1e-6", detected.value, detected.low, detected.high, bar.detected)
        if small is None:
            for kind, of_kind in _by_kind(results).items():
                share = wilson(sum(result.detected for result in of_kind), len(of_kind))
                if share.value is not None and share.value < 1:
                    yield _row(f"{name}: detected at 1e-6, {kind}", share.value, share.low, share.high, None)


def _row(
    metric: str, value: float | None, low: float | None, high: float | None, target: float | None
) -> Row:
    assert value is not None
    return Row(metric, value, "share", low, high, target=target)


def _by_kind(results: Sequence[Result]) -> dict[str, list[Result]]:
    return {kind: list(results[place :: len(KINDS)]) for place, kind in enumerate(KINDS)}


def _survived(number: int, used_seed: int, small: int | None) -> tuple[float, Mapping[str, Result]]:
    frames = (
        clip_of(number, used_seed).frames
        if small is None
        else world_frames(number, used_seed, small, small, fps=8.0, seconds=17 / 8)
    )
    payload = payload_for(number)
    marked, _ = mark(frames, None, 0, payload, [KEY])
    generator = np.random.default_rng((used_seed, number))
    attacks = ATTACKS if small is None else SMALL_ATTACKS
    return psnr(frames, marked), {
        name: result_of(np.ascontiguousarray(bar.attack(marked, generator)), payload)
        for name, bar in attacks.items()
    }
