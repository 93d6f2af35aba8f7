"""The evaluation's bars: self-tests of metrics, independent values, detectors, memorisation, speed.

`SEED=123 QUICK=1 python -m benchmarks.evaluation`, or some of its sections: ladders, independent, detectors,
shifts, memorisation, speed.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from benchmarks.degrade import (
    LADDERS,
    RUNGS,
    Footage,
    Ladder,
    climb,
    impact_footage,
    measured,
    world_footage,
)
from benchmarks.report import Row, publish, quick, seed
from benchmarks.spread import spread
from benchmarks.stored import file_of, generated_clip, real_clip
from benchmarks.world import detecting
from veo_core.evaluate.distances import frechet, polynomial_mmd
from veo_core.evaluate.evaluate import EvaluateConfig, run
from veo_core.evaluate.fidelity import ssim
from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.memorise import calibrate, marked, nearest, view_of
from veo_core.evaluate.psnr import psnr
from veo_core.evaluate.records import CopyView
from veo_core.evaluate.summary import summarise
from veo_core.media.decode import decode
from veo_core.records.clip import Clip
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store

DEFAULT_SEED = 6_120_433
_CALIBRATION = 600  # clips, the fewest that show a false share of 1 %
_SHIFTS = (-0.4, -0.2, -0.05, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def main() -> None:
    used = seed(DEFAULT_SEED)
    small = quick()
    sections: dict[str, Callable[[Store], Iterator[Row]]] = {
        "ladders": lambda store: self_tests(20 if small else 32, used, Path(store.root)),
        "independent": lambda store: independent(used),
        "detectors": lambda store: detecting(100 if small else 500, used),
        "shifts": lambda store: shifted_sound(16 if small else 64, used, store),
        "memorisation": lambda store: memorisation(100 if small else 500, used, Path(store.root)),
        "speed": lambda store: speed(64, used, store),
    }
    for name in sys.argv[1:] or sections:
        with tempfile.TemporaryDirectory(prefix="veo-bench-") as folder:
            publish("evaluation", list(sections[name](Store(folder))), used_seed=used, section=name)


def self_tests(clips: int, used_seed: int, folder: Path) -> Iterator[Row]:
    """Bar 1: each metric on five steps of what it must see, and of what it must not."""
    climbed = spread(partial(_climbed, clips, used_seed, folder), len(LADDERS), "ladders")
    for ladder, figures in zip(LADDERS, climbed, strict=True):
        yield from _ladder_rows(ladder, figures)


def _climbed(clips: int, used_seed: int, folder: Path, number: int) -> dict[str, list[float]]:
    """The figures of one ladder, by name."""
    ladder, store = LADDERS[number], Store(str(folder / str(number)))
    film = world_footage if ladder.footage == "world" else impact_footage
    real = measured(film(clips, used_seed + 1), store, group="real")
    return climb(ladder, film(clips, used_seed), real, store, seed=used_seed)


def _ladder_rows(ladder: Ladder, figures: dict[str, list[float]]) -> Iterator[Row]:
    for name, way in (ladder.moves | ladder.pairs).items():
        steps = np.diff(figures[name]) * (1 if way == "up" else -1)
        right = float(np.sum(steps > 0))
        yield Row(f"{ladder.name}: {name} goes {way}", right, "steps of 5", target=len(RUNGS) - 1)
    for name in ladder.stays:
        values = np.asarray(figures[name])
        change = float(np.max(np.abs(values - values[0])) / max(1.0, abs(values[0])))
        yield Row(f"{ladder.name}: {name} stays", change, "relative", target=ladder.slack, op="<=")


class _Flat(torch.nn.Module):
    """Features that are the numbers of a picture themselves."""

    num_features = 12

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double().flatten(1)


def independent(used_seed: int) -> Iterator[Row]:
    """Bar 2: our values against other implementations'."""
    rng = np.random.default_rng(used_seed)
    a, b = (np.rint(np.clip(mean + 20 * rng.standard_normal((90, 12)), 0, 255)) for mean in (120, 140))
    pictures = [torch.from_numpy(x).to(torch.uint8).reshape(len(x), 3, 2, 2) for x in (a, b)]
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    gap = np.sum((a.mean(0) - b.mean(0)) ** 2)
    by_scipy = gap + np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root)
    yield _equal("Fréchet distance, scipy", frechet(a, b), float(by_scipy))
    fid = FrechetInceptionDistance(feature=_Flat(), input_img_size=(3, 2, 2))
    fid.set_dtype(torch.float64)
    kid = KernelInceptionDistance(feature=_Flat(), subsets=1, subset_size=90)
    for metric in (fid, kid):
        metric.update(pictures[1], real=True)
        metric.update(pictures[0], real=False)
    yield _equal("Fréchet distance, torchmetrics", frechet(a, b), float(fid.compute()))
    yield _equal("kernel distance, torchmetrics", polynomial_mmd(a, b), float(kid.compute()[0]))
    clip = world_footage(1, used_seed)[0].frames
    noisy = np.clip(clip + 9 * rng.standard_normal(clip.shape), 0, 255).astype(np.uint8)
    by_skimage = [
        structural_similarity(
            x,
            y,
            channel_axis=2,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for x, y in zip(noisy, clip, strict=True)
    ]
    yield _equal("SSIM, skimage", ssim(noisy, clip), float(np.mean(by_skimage)))
    tensors = [torch.from_numpy(x).double() for x in (noisy, clip)]
    by_torchmetrics = float(peak_signal_noise_ratio(*tensors, data_range=255.0))
    yield _equal("PSNR, torchmetrics", psnr(noisy, clip), by_torchmetrics)


def _equal(name: str, ours: float, theirs: float) -> Row:
    error = abs(ours - theirs) / abs(theirs)
    return Row(f"equals {name}", error, "relative", target=1e-3, op="<=")


def shifted_sound(clips: int, used_seed: int, store: Store) -> Iterator[Row]:
    """Bar 3: the lag of clips whose sound is shifted by d is d."""
    footage = world_footage(clips, used_seed + 2)
    worst = 0.0
    for shift in _SHIFTS:
        moved = [replace(clip, sound=_moved(clip, shift)) for clip in footage]
        rows = summarise([row.score for row in measured(moved, store)], seed=used_seed)
        (found,) = [row.value for row in rows if row.metric == "sync_lag"]
        assert found is not None
        worst = max(worst, abs(found - shift))
    yield Row(
        f"sync: lag of sound shifted by d less d, {len(_SHIFTS)} shifts",
        1e3 * worst,
        "ms",
        target=15.0,
        op="<=",
    )


def _moved(clip: Footage, seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    samples = round(seconds * clip.rate)
    silence = np.zeros(abs(samples), np.float32)
    if samples >= 0:
        return np.concatenate([silence, clip.sound])[: len(clip.sound)]
    return np.concatenate([clip.sound[-samples:], silence])


def memorisation(clips: int, used_seed: int, folder: Path) -> Iterator[Row]:
    """Bar 8: training clips passed off as generated, and real clips that were never trained on."""
    training = world_footage(clips, used_seed + 3)
    views = [_view(clip, f"train{n}", folder, 18) for n, clip in enumerate(training)]
    calibration = [
        (_view(c, "c", folder, 18), "", "real") for c in world_footage(_CALIBRATION, used_seed + 4)
    ]
    thresholds = calibrate(nearest(calibration, views))
    planted = [(_view(clip, str(n), folder, 30), "", "generated") for n, clip in enumerate(training)]
    found = marked(nearest(planted, views), thresholds)
    right = sum(n.memorised and n.training_clip == f"train{n.clip_id}" for n in found)
    share = wilson(right, len(found))
    assert share.value is not None
    yield Row(
        "memorisation: planted clips, re-encoded, found", share.value, "share", share.low, share.high, 0.99
    )
    held_out = [(_view(c, "h", folder, 18), "", "real") for c in world_footage(clips, used_seed + 5)]
    flagged = wilson(sum(n.memorised for n in marked(nearest(held_out, views), thresholds)), clips)
    assert flagged.value is not None
    yield Row(
        "memorisation: held-out real clips flagged",
        flagged.value,
        "share",
        flagged.low,
        flagged.high,
        0.01,
        "<=",
    )


def _view(clip: Footage, name: str, folder: Path, crf: int) -> CopyView:
    path = folder / "view.mp4"
    path.write_bytes(file_of(clip, crf))
    return view_of(name, decode(path))


def speed(clips: int, used_seed: int, store: Store) -> Iterator[Row]:
    """Bar 9: the stage on so many generated clips, as many real ones, and memorisation, on two processes."""
    made = [generated_clip(clip, n, store) for n, clip in enumerate(world_footage(clips, used_seed + 6))]
    real = [
        real_clip(clip, "train" if n % 2 else "validation", store)
        for n, clip in enumerate(world_footage(2 * clips, used_seed + 7))
    ]
    generated = Manifest(
        stage="generate", config_digest="c", tables={"generated": store.put_table(made, GeneratedClip)}
    )
    dataset = Manifest(stage="package", config_digest="c", tables={"clips": store.put_table(real, Clip)})
    workers = min(2, os.cpu_count() or 1)
    context = Context(stage="evaluate", store=store, seed=0, key="k", workers=workers)
    start, before = time.perf_counter(), _processor_seconds()
    run(generated=generated, dataset=dataset, config=EvaluateConfig(real_clips=clips), context=context)
    wall, spent = time.perf_counter() - start, _processor_seconds() - before
    yield Row(f"evaluating {clips} clips with {clips} real ones", wall, "s", target=60.0, op="<=")
    yield Row("the same, processor time", spent, "s")


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
