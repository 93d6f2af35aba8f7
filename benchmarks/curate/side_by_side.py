"""The usual tutorial method against ours on the same files: what each costs, and which frames it returns.

Costs are processor time, of child processes too, so that other work on the machine does not count.
"""

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.curate import tutorial
from benchmarks.curate.chain import Chain, Configs
from benchmarks.curate.dedup_scale import calls_rows
from benchmarks.curate.footage import (
    FPS,
    cut_without_decoding,
    read_number,
    uneven_times,
    write,
)
from benchmarks.report import Row
from veo_core.data.clips import Sample, decode_samples
from veo_core.data.spec import ClipSpec
from veo_core.evaluate.intervals import wilson
from veo_core.media.decode import decode, frames_at
from veo_core.media.key_frames import key_frames
from veo_core.media.remux import remux

ITEM = ClipSpec(frames=17, fps=3.2, height=256, width=256, upscale=2)  # over 5 s, the first frame alone
_TRIM = 5.0
_REPEATS = 3
_PROBES = 41


class Film(NamedTuple):
    """A source file."""

    name: str
    path: Path


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Films of 15 s at 30 frames a second with grain, and files that mislead a seek by index."""
    sizes = [(960, 540)] if quick else [(960, 540), (1920, 1080)]
    films = [_film(folder, size, gop, seed) for size in sizes for gop in (250, 48)]
    for film in films:
        yield from _compared(f"key frames, {film.name}", _key_frames(film, folder), 5.0)
        yield from _compared(f"trim to 5 s by remux, {film.name}", _trim(film, folder), 20.0)
    yield from _compared(f"loading a training item, {films[-1].name}", _load(films[-1], folder), 100.0)
    yield from _wrong_frames(films[0], seed, folder)
    yield from calls_rows(seed, quick)


def _film(folder: Path, size: tuple[int, int], gop: int, seed: int) -> Film:
    width, height = size
    path = folder / f"{height}-{gop}.mp4"
    return Film(f"{height}p, GOP {gop}", write(path, width=width, height=height, seed=seed, gop=gop))


class Cost(NamedTuple):
    """Processor seconds of one piece of work by either method."""

    ours: float
    theirs: float


def _compared(metric: str, cost: Cost, target: float) -> Iterator[Row]:
    yield Row(metric, 1e3 * cost.ours, "ms", baseline=1e3 * cost.theirs)
    yield Row(f"{metric}: cheaper by", cost.theirs / cost.ours, "times", target=target)


def _key_frames(film: Film, folder: Path) -> Cost:
    """Three pictures of a file, written as JPEG or PNG."""

    def ours() -> None:
        for number, frame in enumerate(key_frames(film.path, count=3, max_short_side=448)):
            cv2.imwrite(str(folder / f"{number}.jpg"), cv2.cvtColor(frame.picture, cv2.COLOR_RGB2BGR))

    return Cost(_cost(ours), _cost(lambda: tutorial.key_frames(film.path, folder)))


def _trim(film: Film, folder: Path) -> Cost:
    """The first five seconds; ours with their sound."""
    return Cost(
        _cost(lambda: remux(film.path, folder / "ours.mp4", 0, frames=round(_TRIM * FPS), fps=FPS)),
        _cost(lambda: tutorial.trim(film.path, folder / "theirs.mp4", _TRIM)),
    )


def _load(film: Film, folder: Path) -> Cost:
    """Pictures for one training step: ours from the prepared clip, theirs from the source."""
    sample = _prepared(film, folder)
    return Cost(
        _cost(lambda: decode_samples([sample], ITEM)),
        _cost(lambda: tutorial.load(film.path, 16, ITEM.height), repeats=1),
    )


def _prepared(film: Film, folder: Path) -> Sample:
    """The clip that curation makes of a film: 256 pixels, 24 frames a second, 5 s."""
    footage = folder / "footage"
    footage.mkdir()
    (footage / "film.mp4").hardlink_to(film.path)
    (footage / "film.json").write_text(json.dumps({"ml_training": "allowed", "evidence": "filmed here"}))
    spec = {"short_side": 256, "fps": 24.0, "frames": 121}
    source = {"folder": str(footage), "max_bytes": film.path.stat().st_size}
    chosen: Configs = {"collect": source, "prepare": {"spec": spec}}
    chain = Chain(folder / "prepared", chosen, "")
    chain.run(["collect", "prepare"])
    clips = chain.clips("prepare")
    clip = clips[0]
    media = chain.store.get_bytes(clip.media)
    return Sample(clip.clip_id, "", "", clip.facts.width, clip.facts.height, media)


def _wrong_frames(film: Film, seed: int, folder: Path) -> Iterator[Row]:
    """Frames asked for at shares of files whose frame times are uneven or start before the file does.

    The right frame is known from how the file was made, and read from the picture.
    """
    times = uneven_times(seed)
    uneven = write(folder / "uneven.mp4", width=960, height=540, seed=seed, gop=48, times=times)
    yield from _probed("variable frame rate", uneven, list(range(len(times))), times)
    start = 3.3
    cut = folder / "cut.mp4"
    numbers = cut_without_decoding(film.path, cut, start, _TRIM)
    yield from _probed("edit list", cut, numbers, [(number - numbers[0]) / FPS for number in numbers])


def _probed(kind: str, path: Path, numbers: list[int], times: list[float]) -> Iterator[Row]:
    """Ask both methods for the same frames: theirs by index, ours by presentation time.

    Args:
        kind: what is special about the file.
        path: the file.
        numbers: the number of each frame that it shows.
        times: when it shows them, seconds from the first.
    """
    shares = np.linspace(0.0, 1.0, _PROBES)
    asked = np.round(shares * (len(numbers) - 1)).astype(int)
    right = [numbers[index] for index in asked]
    theirs = [
        None if picture is None else read_number(picture)
        for picture in tutorial.frames_at_shares(path, shares)
    ]
    decoded = decode(path)
    ends = [*times[1:], times[-1] + 1 / FPS]
    middles = [(times[index] + ends[index]) / 2 for index in asked]
    shown = [int(frames_at(decoded, 1.0, 1, middle)[0]) for middle in middles]
    ours = [read_number(decoded.frames[index]) for index in shown]
    wrong = wilson(sum(a != b for a, b in zip(ours, right, strict=True)), len(right))
    misled = sum(a != b for a, b in zip(theirs, right, strict=True))
    assert wrong.value is not None
    yield Row(
        f"wrong frames, {kind}",
        wrong.value,
        "share",
        wrong.low,
        wrong.high,
        target=0.0,
        op="<=",
        baseline=misled / len(right),
    )


def _cost(work: Callable[[], object], repeats: int = _REPEATS) -> float:
    """Processor seconds of `work`, the least of several tries."""
    costs = []
    for _ in range(repeats):
        before = _processor_seconds()
        work()
        costs.append(_processor_seconds() - before)
    return min(costs)


def _processor_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))
