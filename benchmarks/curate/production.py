"""What prepare costs: 15 s of 960x540 at 30 frames/s with sound, as the world draws it and as a camera would.

A camera's picture has grain, which fills 2 Mb/s and makes its decoding several times as dear.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.report import Row
from veo_core.curate.produce import ClipMaker, FilePass, Spec, produce
from veo_core.media.encode import CODECS
from veo_core.world.film import record, render
from veo_core.world.plan import scene_of
from veo_core.world.truth import WorldSpec

WIDTH, HEIGHT, FPS, SECONDS, RATE = 960, 540, 30, 15, 48_000
BITS_PER_SECOND = 2_000_000
GRAIN = 4.0  # standard deviation in levels of 255

Figures = tuple[float, float, float]


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Processor time of the pass, of a transcoded clip and of a copied one; clips a second on one core."""
    count, repeats = (2, 1) if quick else (6, 3)
    spec = Spec()
    for kind, grain in (("the world's", 0.0), ("under a camera's grain", GRAIN)):
        films = [film(folder / f"{index}-{grain}.mp4", seed + index, grain) for index in range(count)]
        decoding = _measured(films, repeats, _decode)
        passing = _measured(films, repeats, lambda path: _pass(path, spec))
        yield _row(f"decoding alone, 15 s at 540p, {kind}", decoding, "CPU-s")
        yield _row(f"one pass over 15 s at 540p, {kind}", passing, "CPU-s", target=0.7, op="<=")
    for codec in CODECS:
        chosen = spec.model_copy(update={"codec": codec})
        cost = _measured(films, repeats, lambda path, chosen=chosen: _produce(path, chosen))  # type: ignore[misc]
        rate = (1 / cost[0], 1 / cost[2], 1 / cost[1])
        target = 0.30 if codec == "h264" else None
        yield _row(f"clips of 5 s at 512p, {codec}", rate, "clips/s per core", target=target)
        if codec == "h264":
            made = spec.frames / spec.fps
            yield _row("seconds made, h264", (made * rate[0], made * rate[1], made * rate[2]), "s per CPU-s")
    yield from _copying(films[0], spec, repeats, folder)


def film(path: Path, seed: int, grain: float) -> Path:
    """A world scene under grain of a standard deviation in levels of 255, as H.264 and AAC."""
    world = WorldSpec(seed=seed, width=WIDTH, height=HEIGHT, fps=FPS, seconds=SECONDS)
    scene = scene_of(world, 0)
    rng = np.random.default_rng(seed)
    grains = [rng.normal(0.0, grain, (HEIGHT, WIDTH, 1)).astype(np.int16) for _ in range(8)]
    sound = record(scene, scene.contacts(SECONDS), SECONDS, RATE)
    sound = sound + rng.normal(0.0, 0.01, sound.shape).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "veryfast"}
        if grain:
            video.bit_rate = BITS_PER_SECOND
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(FPS * SECONDS):
            (picture,) = render(scene, np.array([number / FPS]), HEIGHT, WIDTH)
            noise = np.roll(grains[number % len(grains)], tuple(rng.integers(0, 200, 2)), axis=(0, 1))
            noisy = np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for first in range(0, sound.shape[1], 1024):
            piece = np.ascontiguousarray(sound[:, first : first + 1024], dtype=np.float32)
            samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, first, Fraction(1, RATE)
            container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
    return path


def _decode(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def _pass(path: Path, spec: Spec) -> None:
    """Everything that prepare does but the clip's file."""
    with tempfile.TemporaryDirectory() as name:
        source = FilePass(path, spec)
        found = [ClipMaker(shot, source, Path(name)).findings() for shot in source.shots()]
        if len(found) != 1:
            raise RuntimeError(f"the film has one shot, not {len(found)}")


def _produce(path: Path, spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as name:
        report = produce(path, Path(name), spec)
        if [shot.rule for shot in report.shots] != [""]:
            raise RuntimeError(json.dumps(report.model_dump(mode="json", exclude={"shots": {"signature"}})))


def _copying(path: Path, spec: Spec, repeats: int, folder: Path) -> Iterator[Row]:
    """A clip that meets the specification already, prepared again: with its packets copied, and without."""
    produce(path, folder, spec)
    clip = folder / "0.mp4"
    copied = _measured([clip], repeats, lambda path: _produce(path, spec))
    transcoded = _measured(
        [clip], repeats, lambda path: _produce(path, spec.model_copy(update={"copy_packets": False}))
    )
    yield Row(
        "clip of 5 s that meets the specification, all of prepare",
        copied[0],
        "CPU-s",
        copied[1],
        copied[2],
        baseline=transcoded[0],
    )


def _measured(films: list[Path], repeats: int, work: Callable[[Path], None]) -> Figures:
    """Processor time per file: mean over files of the median of repeats, with its 95 % interval."""
    work(films[0])
    times = []
    for path in films:
        spent = []
        for _ in range(repeats):
            start = time.process_time()
            work(path)
            spent.append(time.process_time() - start)
        times.append(float(np.median(spent)))
    mean = float(np.mean(times))
    error = 1.96 * float(np.std(times, ddof=1)) / len(times) ** 0.5 if len(times) > 1 else 0.0
    return mean, mean - error, mean + error


def _row(metric: str, figures: Figures, unit: str, target: float | None = None, op: str = ">=") -> Row:
    value, low, high = figures
    return Row(metric, value, unit, low, high, target=target, op="<=" if op == "<=" else ">=")
