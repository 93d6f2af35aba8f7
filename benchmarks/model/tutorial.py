"""Bar 4: the usual tutorial's design on the same clips for the same wall time, and the speed of both."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.model.following import ATTRIBUTES, SUITES, extra_false_onsets
from benchmarks.model.scoring import score_films, score_real, summary
from benchmarks.model.speed import (
    QUICK_BUDGETS,
    Budgets,
    designs,
    draw_by_turns,
    parameter_rows,
    prompts_for,
    sampling_rows,
    training_rows,
)
from benchmarks.model.trained import TRAINING, TrainedRun
from benchmarks.report import Row
from veo_core.errors import UsageError
from veo_core.evaluate.records import ClipScore

_REAL = 64


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """`value` is ours and the alternative the tutorial's, in one process with one number of threads."""
    budgets = QUICK_BUDGETS if quick else _spent(run)
    ours, theirs = designs(run, seed)
    yield from parameter_rows(ours, theirs)
    yield from training_rows(run, theirs, budgets, folder, seed, quick)
    asked = prompts_for(seed, quick)
    drawn = draw_by_turns(run, ours, theirs, asked, seed)
    yield from sampling_rows(drawn)
    real = score_real(run.manifest("package"), run.store, _REAL)
    scores = [score_films(films, asked, run.store, fps=ours.clip.fps) for films in (drawn.ours, drawn.theirs)]
    yield from score_rows(scores[0], scores[1], real, seed)


def _spent(run: TrainedRun) -> Budgets:
    """What all of our training took."""
    spent = run.seconds()
    if any(task not in spent for task in TRAINING):
        raise UsageError("tutorial: the run that trained the models is not kept; give RUN= one that did")
    refining = spent["train-upsampler"]
    return Budgets(sum(spent[task] for task in TRAINING) - refining, refining)


def score_rows(
    ours: Sequence[ClipScore], theirs: Sequence[ClipScore], real: Sequence[ClipScore], seed: int
) -> Iterator[Row]:
    """Each figure of ours with that of theirs beside it."""
    figures, others = summary(ours, seed), summary(theirs, seed)
    wanted: list[tuple[str, str, str]] = [
        (f"{words}: {'all together' if name == 'all' else name}", f"following_{name}", suite)
        for suite, words in SUITES.items()
        for name in (*ATTRIBUTES, "all")
    ]
    wanted += [(f"contacts that sound within {ms} ms", f"sync_share_{ms}ms", "all") for ms in (50, 100)]
    wanted.append(("contacts", "contacts", "all"))
    for name, metric, split in wanted:
        mine, other = figures.find(metric, split), others.find(metric, split)
        if mine is not None and mine.value is not None:
            baseline = other.value if other else None
            yield Row(name, mine.value, mine.unit, mine.ci_low, mine.ci_high, baseline=baseline)
    extra, their_extra = (extra_false_onsets(scores, real, seed) for scores in (ours, theirs))
    if extra.value is not None:
        name = "false onsets beyond those on true footage"
        yield Row(name, extra.value, "per clip", extra.low, extra.high, baseline=their_extra.value)
