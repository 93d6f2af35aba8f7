"""Bars 1 and 2: clips drawn for new prompts follow them, sound with contacts, and training took so long."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.model.scoring import bound, jobs, row_of, score_films, score_real, share_row, summary
from benchmarks.model.trained import TrainedRun
from benchmarks.report import Row
from veo_core.evaluate.intervals import Estimate
from veo_core.evaluate.metrics.sync import TOLERANCE
from veo_core.evaluate.records import ClipScore
from veo_core.evaluate.sync import match_events
from veo_core.world.grammar import Suite, parse

ATTRIBUTES = ("shape", "colour", "direction", "pitch")
SUITES: dict[Suite, str] = {"seen": "seen", "held_out": "held out", "two_objects": "two objects"}
_REAL = 128


@dataclass(frozen=True)
class Bar:
    """What a preset must reach on held-out combinations, within how many minutes on 2 idle cores."""

    attribute: float
    together: float
    sync: str
    sync_share: float
    false_onsets: float
    two_objects: float | None
    minutes: float


BARS = {
    "world": Bar(0.90, 0.80, "sync_share_100ms", 0.80, 0.3, None, 20.0),
    "world-full": Bar(0.98, 0.95, "sync_share_50ms", 0.97, 0.1, 0.85, 60.0),
}


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Clips for prompts of this seed; alternatives are the same clips with prompts or sounds exchanged."""
    bar = BARS.get(run.preset)
    generator, drawing = run.generator(), run.generation()
    counts: dict[Suite, int] = {"seen": 8, "held_out": 8} if quick else {"seen": 96, "held_out": 192}
    if run.config("generate").get("two_objects"):
        counts["two_objects"] = 8 if quick else 96
    asked = jobs(counts, seed)
    films = generator(
        [job.prompt for job in asked],
        seed=seed,
        sampler=drawing.sampler,
        cascade=drawing.cascade,
        batch=drawing.batch,
    )
    generated = score_films(films, asked, run.store, fps=generator.clip.fps)
    real = score_real(run.manifest("package"), run.store, _REAL)
    yield from attribute_rows(generated, seed, bar)
    yield from sync_rows(generated, real, seed, bar)
    yield from _time_rows(run, bar)


def attribute_rows(generated: Sequence[ClipScore], seed: int, bar: Bar | None) -> Iterator[Row]:
    """Each attribute of each suite, and all of them together."""
    figures = summary(generated, seed)
    for suite, words in SUITES.items():
        counts = bar is not None and suite == "held_out"
        for name in ATTRIBUTES:
            target = bar.attribute if bar and counts else None
            yield from row_of(f"{words}: {name}", figures.find(f"following_{name}", suite), target=target)
        together = bar.together if bar and counts else None
        figure = figures.find("following_all", suite)
        yield from row_of(f"{words}: all together, the number of objects too", figure, target=together)
    two = bound([score for score in generated if score.split == "two_objects"])
    yield from share_row(
        "two objects: the right colour on the right shape", two, target=bar.two_objects if bar else None
    )


def sync_rows(
    generated: Sequence[ClipScore], real: Sequence[ClipScore], seed: int, bar: Bar | None
) -> Iterator[Row]:
    """Contacts that sound in time, and sounds without a contact beyond those found on true footage.

    Each suite is held against true clips with as many objects.
    """
    for suite, words in SUITES.items():
        made = [score for score in generated if score.split == suite]
        true = [score for score in real if _objects(score) == (2 if suite == "two_objects" else 1)]
        if made:
            yield from _suite_rows(words, made, true, seed, bar if suite == "held_out" else None)


def _suite_rows(
    words: str, made: Sequence[ClipScore], true: Sequence[ClipScore], seed: int, bar: Bar | None
) -> Iterator[Row]:
    figures = summary([*made, *true], seed)
    for name, within in (("sync_share_50ms", "50 ms"), ("sync_share_100ms", "100 ms")):
        target = bar.sync_share if bar and bar.sync == name else None
        figure = figures.find(name, "all")
        yield from row_of(f"{words}: contacts that sound within {within}", figure, target=target)
        yield from row_of(f"{words}: the same on true footage", figures.find(name, "real", ""))
    more = extra_false_onsets(made, true, seed)
    if more.value is not None:
        limit = bar.false_onsets if bar else None
        name = f"{words}: false onsets beyond those on true footage"
        yield Row(name, more.value, "per clip", more.low, more.high, limit, op="<=")
    yield from row_of(f"{words}: false onsets", figures.find("false_onsets", "all"))
    yield from row_of(f"{words}: the same on true footage", figures.find("false_onsets", "real", ""))


def _objects(score: ClipScore) -> int:
    wanted = parse(score.prompt)
    return len(wanted.objects) if wanted else 0


def extra_false_onsets(generated: Sequence[ClipScore], real: Sequence[ClipScore], seed: int) -> Estimate:
    """Mean false onsets a clip less those on true footage, with a bootstrap interval over both sets."""
    counts = [np.array([_false_onsets(score) for score in s if not score.problem]) for s in (generated, real)]
    if not all(map(len, counts)):
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(seed)
    means = [c[rng.integers(0, len(c), (2000, len(c)))].mean(1) for c in counts]
    low, high = np.quantile(means[0] - means[1], (0.025, 0.975))
    difference = float(counts[0].mean() - counts[1].mean())
    return Estimate(difference, float(low), float(high), len(counts[0]))


def _false_onsets(score: ClipScore) -> int:
    return len(score.onsets) - len(match_events(score.contacts, score.onsets, TOLERANCE))


def _time_rows(run: TrainedRun, bar: Bar | None) -> Iterator[Row]:
    seconds = run.seconds()
    for task, spent in seconds.items():
        yield Row(f"wall time: {task}", spent, "s")
    record = run.record
    cached = any(task.state == "CACHED" for task in record.tasks)
    if record.finished is not None and not cached:
        minutes = (record.finished - record.created) / 60
        yield Row("wall time: the whole run", minutes, "min", target=bar.minutes if bar else None, op="<=")
