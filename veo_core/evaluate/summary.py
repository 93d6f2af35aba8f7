"""From the scores of clips to figures with intervals, floors and chance levels."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from veo_core.evaluate.distances import Comparison, Floats, compare
from veo_core.evaluate.intervals import NO_DATA, Estimate
from veo_core.evaluate.metrics.catalogue import CLIP_METRICS, SET_METRICS
from veo_core.evaluate.metrics.declaration import ClipMetric, Clips, Metric, SetMetric
from veo_core.evaluate.records import ClipFeatures, SummaryRow

_MODES = ("t2v", "i2v", "v2a", "a2v")
_LEAST_CLIPS = 8
"""Clips on each side below which a distance between sets says nothing."""


def summarise(
    scores: Clips,
    *,
    seed: int,
    features: Sequence[ClipFeatures] = (),
    missing: Mapping[str, str] | None = None,
) -> list[SummaryRow]:
    """Every metric on each group of clips: by split and mode for prompts, by mode for all else, and by tag.

    Args:
        scores: generated and real clips.
        seed: seed of resampling and exchanges.
        features: of those clips, for distances between sets; there are none without them.
        missing: metrics that are not run, and why.
    """
    missing = missing or {}
    real = [score for score in scores if score.group == "real"]
    generated = [score for score in scores if score.group == "generated"]
    rows: list[SummaryRow] = []
    for metric in CLIP_METRICS:
        if metric.name in missing:
            rows.append(not_run(metric, missing[metric.name]))
            continue
        floor = metric.estimate(real, seed).value
        for mode in (metric.mode,) if metric.mode else _MODES:
            of_mode = [score for score in generated if score.mode == mode]
            for split, chosen in _groups(metric, of_mode):
                rows.append(_row(metric, split, mode, chosen, floor, seed))
        if real and not metric.mode:
            rows.append(_row(metric, "real", "", real, None, seed))
    for distance in SET_METRICS if features else ():
        if distance.name in missing:
            rows.append(not_run(distance, missing[distance.name]))
        else:
            rows += _distances(distance, features, seed)
    return rows


def not_run(metric: Metric, why: str) -> SummaryRow:
    """The row of a metric that could not be measured: it says what it needs, and has no figure."""
    return estimate_row(metric, "all", "", NO_DATA, note=f"not run: {why}")


def estimate_row(
    metric: Metric,
    split: str,
    mode: str,
    estimate: Estimate,
    *,
    reference: float | None = None,
    control: float | None = None,
    note: str = "",
) -> SummaryRow:
    """A figure as a row of the summary."""
    return SummaryRow(
        metric=metric.name,
        split=split,
        mode=mode,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n=estimate.n,
        unit=metric.unit,
        better=metric.better,
        reference=reference,
        control=control,
        tier=metric.tier,
        note=note,
    )


def _groups(metric: ClipMetric, clips: Clips) -> Iterable[tuple[str, Clips]]:
    """The clips of one mode as the metric reports them: by split or all, then by tag."""
    splits = dict.fromkeys(clip.split if metric.of_prompt else "all" for clip in clips)
    for split in splits:
        yield split, [clip for clip in clips if split in (clip.split, "all")]
    for tag in sorted({tag for clip in clips for tag in clip.tags}):
        yield tag, [clip for clip in clips if tag in clip.tags]


def _row(
    metric: ClipMetric, split: str, mode: str, clips: Clips, reference: float | None, seed: int
) -> SummaryRow:
    control = metric.control(clips, seed).value if metric.control else None
    return estimate_row(
        metric, split, mode, metric.estimate(clips, seed), reference=reference, control=control
    )


def _distances(metric: SetMetric, features: Sequence[ClipFeatures], seed: int) -> list[SummaryRow]:
    own = [row for row in features if row.space == metric.space]
    real = [row for row in own if row.group == "real"]
    noise = [row for row in own if row.group == "noise"]
    rows = []
    for mode in _MODES:
        made = [row for row in own if row.group == "generated" and row.mode == mode]
        if not made:
            continue
        if min(len(made), len(real)) < _LEAST_CLIPS:
            why = (
                f"needs {_LEAST_CLIPS} clips with features on each side, has {len(made)} and {len(real)} real"
            )
            rows.append(estimate_row(metric, "all", mode, NO_DATA, note=f"not run: {why}"))
            continue
        found: Comparison = compare(
            _by_prompt(made), _by_prompt(real), _by_prompt(noise), metric.distance, seed=seed
        )
        rows.append(
            estimate_row(metric, "all", mode, found.estimate, reference=found.floor, control=found.ceiling)
        )
    return rows


def _by_prompt(rows: Sequence[ClipFeatures]) -> list[Floats]:
    """The vectors of each prompt's clips; a clip without a prompt stands for itself."""
    groups: dict[str, list[Floats]] = {}
    for row in rows:
        vectors = np.asarray(row.values, np.float64).reshape(-1, row.width)
        groups.setdefault(row.prompt or row.clip_id, []).append(vectors)
    return [np.concatenate(parts) for parts in groups.values()]
