"""Our mark beside those of invisible-watermark on the same pictures."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.report import Row
from benchmarks.spread import spread
from benchmarks.watermark import alternatives
from benchmarks.watermark.clips import clip_of
from benchmarks.watermark.survival import ATTACKS
from benchmarks.watermark.trial import KEY, payload_for, psnr, result_of
from veo_core.evaluate.intervals import bootstrap_mean
from veo_core.watermark.mark import mark

COMPARED = (
    "none",
    "H.264 CRF 23",
    "H.264 CRF 30",
    "resize 0.55",
    "crop 0.71",
    "brightness 0.5",
    "contrast 1.5",
    "noise of 5 levels",
    "horizontal flip",
)

_FEWER = {"rivaGan": 10}
"""By how much the clips are fewer for a method that takes minutes a clip, with all cores at work on each."""


def compared(clips: int, used_seed: int) -> Iterator[Row]:
    """Bit accuracy beside that of invisible-watermark's methods on the same pictures."""
    methods = alternatives.methods()
    if not methods:
        print(
            "alternatives: not run: needs invisible-watermark (pip install invisible-watermark onnxruntime)"
        )
        return
    for method in methods:
        count = clips // _FEWER.get(method, 1)
        workers = 1 if method in _FEWER else None
        found = spread(partial(_compared, used_seed=used_seed, method=method), max(1, count), method, workers)
        yield Row(
            f"{method}: picture PSNR", float(np.mean([o for o, _, _ in found])), "dB (ours)", None, None,
            baseline=float(np.mean([t for _, t, _ in found])),
        )  # fmt: skip
        for name in COMPARED:
            ours = bootstrap_mean([each[name][0] for _, _, each in found], seed=used_seed)
            theirs = float(np.mean([each[name][1] for _, _, each in found]))
            assert ours.value is not None
            metric = f"{name}: bit accuracy beside {method}"
            yield Row(metric, ours.value, "share", ours.low, ours.high, target=theirs, baseline=theirs)


def _compared(
    number: int, used_seed: int, method: str
) -> tuple[float, float, dict[str, tuple[float, float]]]:
    clip = clip_of(number, used_seed).frames
    shown = alternatives.frames_of(method)
    frames = clip[:: len(clip) // shown][:shown]
    payload = payload_for(number)
    bits = np.random.default_rng((used_seed, number)).integers(0, 2, alternatives.BITS)
    ours, _ = mark(frames, None, 0, payload, [KEY])
    theirs = alternatives.embed(frames, bits, method)
    results = {}
    for name in COMPARED:
        attack = ATTACKS[name].attack
        mine = attack(ours, np.random.default_rng((used_seed, number)))
        other = attack(theirs, np.random.default_rng((used_seed, number)))
        read_bits = alternatives.read(other, method, *frames.shape[1:3])
        accuracy = float(np.mean(read_bits == bits.astype(bool)))
        results[name] = (result_of(np.ascontiguousarray(mine), payload).bits, accuracy)
    return psnr(frames, ours), psnr(frames, theirs), results
