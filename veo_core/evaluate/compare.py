"""A candidate against the version of its name that was promoted last, on the same prompts.

Clips are paired by what was asked: split, mode, prompt and seed where both have the seed, else the prompt.
For each metric with a direction, prompts are resampled for the interval of the difference, and systems are
exchanged prompt by prompt for its p-value (a paired permutation test: Good, "Permutation, Parametric, and
Bootstrap Tests of Hypotheses", 2005). Many metrics are tested, so p-values are adjusted after Holm (1979):
all verdicts together are wrong with a chance of 5 %.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from veo_core.evaluate.metrics.catalogue import CLIP_METRICS
from veo_core.evaluate.metrics.declaration import ClipMetric
from veo_core.evaluate.records import ClipScore, Difference, Promotion, Verdict
from veo_core.records.generated import SAFETY_SPLITS

LEVEL = 0.05
LEAST_PROMPTS = 8
"""Shared prompts below which a difference is not tested."""

_RESAMPLES, _EXCHANGES = 2000, 10_000
_CHUNK = 1000  # exchanges held in memory at a time

Floats = npt.NDArray[np.float64]


def promotion(
    candidate: Sequence[ClipScore], baseline: Sequence[ClipScore], *, generated: str, model: str, seed: int
) -> Promotion:
    """The verdict on a candidate.

    Args:
        candidate: scores of its clips.
        baseline: scores of the clips of the version that was promoted last.
        generated: digest of the manifest of the candidate's clips.
        model: NAME@VERSION of that model; empty where there is none.
        seed: of resampling and exchanges.
    """
    if not model:
        reason = "no other model of this name was promoted"
        return Promotion(candidate=generated, baseline="", promote=True, reason=reason, differences=[])
    differences = differences_of(candidate, baseline, seed=seed)
    named = {verdict: [d for d in differences if d.verdict == verdict] for verdict in ("better", "worse")}
    if not differences:
        reason = f"no {LEAST_PROMPTS} prompts were answered by both"
    elif named["worse"]:
        reason = f"worse than {model}: {_names(named['worse'])}"
    elif not named["better"]:
        reason = f"nothing is significantly better than {model}"
    else:
        reason = f"better than {model}: {_names(named['better'])}; nothing is significantly worse"
    return Promotion(
        candidate=generated,
        baseline=model,
        promote=bool(named["better"]) and not named["worse"],
        reason=reason,
        differences=differences,
    )


def differences_of(
    candidate: Sequence[ClipScore], baseline: Sequence[ClipScore], *, seed: int
) -> list[Difference]:
    """Every metric with a direction, of each split and mode that both have enough prompts of."""
    first, second = (_by_place(scores) for scores in (candidate, baseline))
    tested = []
    for metric in CLIP_METRICS:
        for split, mode in first if metric.better != "neither" else ():
            if metric.mode in ("", mode):
                sums = _sums(metric, first[split, mode], second.get((split, mode), {}))
                if len(sums) >= LEAST_PROMPTS:
                    tested.append((metric, split, mode, sums))
    adjusted = holm([_p_value(sums, seed) for *_, sums in tested])
    return [_difference(*test, p, seed) for test, p in zip(tested, adjusted, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number, after Holm (1979)."""
    order = np.argsort(p_values)
    adjusted, highest = np.zeros(len(p_values)), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return [float(value) for value in adjusted]


def _difference(
    metric: ClipMetric, split: str, mode: str, sums: Floats, p_value: float, seed: int
) -> Difference:
    drawn = np.random.default_rng(seed).integers(0, len(sums), size=(_RESAMPLES, len(sums)))
    totals = sums[drawn].sum(axis=1)
    ratios = _ratios(totals[:, :2]) - _ratios(totals[:, 2:])
    low, high = np.nanquantile(ratios, (0.025, 0.975))
    whole = sums.sum(axis=0, keepdims=True)
    mine, theirs = float(_ratios(whole[:, :2])[0]), float(_ratios(whole[:, 2:])[0])
    assert metric.better != "neither"
    good = (mine > theirs) == (metric.better == "higher")
    verdict: Verdict = "undecided" if p_value > LEVEL or mine == theirs else "better" if good else "worse"
    return Difference(
        metric=metric.name,
        split=split,
        mode=mode,
        candidate=mine,
        baseline=theirs,
        difference=mine - theirs,
        ci_low=float(low),
        ci_high=float(high),
        prompts=len(sums),
        better=metric.better,
        p_value=p_value,
        verdict=verdict,
    )


def _p_value(sums: Floats, seed: int) -> float:
    """Share of exchanges of the two systems, prompt by prompt, that part them at least as far."""
    rng = np.random.default_rng(seed)
    whole = sums.sum(axis=0, keepdims=True)
    seen = abs(float((_ratios(whole[:, :2]) - _ratios(whole[:, 2:]))[0]))
    swap = sums[:, [2, 3, 0, 1]] - sums
    as_far = 0
    for _ in range(_EXCHANGES // _CHUNK):
        exchanged = rng.integers(0, 2, size=(_CHUNK, len(sums))).astype(np.float64)
        totals = whole + exchanged @ swap
        ratios = _ratios(totals[:, :2]) - _ratios(totals[:, 2:])
        as_far += int(np.sum(np.abs(ratios) >= seen - 1e-12))
    return (as_far + 1) / (_EXCHANGES + 1)


def _ratios(pairs: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(pairs[:, 0] / pairs[:, 1])


def _sums(
    metric: ClipMetric, first: dict[str, list[ClipScore]], second: dict[str, list[ClipScore]]
) -> Floats:
    """Numerators and denominators of both systems for each prompt that both tell something of, [n, 4]."""
    rows = []
    for prompt in first:
        if prompt in second:
            mine, theirs = _paired(first[prompt], second[prompt])
            pair = [_total(metric, clips) for clips in (mine, theirs)]
            if pair[0][1] > 0 and pair[1][1] > 0:
                rows.append([*pair[0], *pair[1]])
    return np.asarray(rows, np.float64).reshape(-1, 4)


def _paired(first: list[ClipScore], second: list[ClipScore]) -> tuple[list[ClipScore], list[ClipScore]]:
    """The clips of one prompt, those of seeds that both systems drew where there are any."""
    shared = {clip.seed for clip in first} & {clip.seed for clip in second}
    if not shared:
        return first, second
    return [c for c in first if c.seed in shared], [c for c in second if c.seed in shared]


def _total(metric: ClipMetric, clips: list[ClipScore]) -> tuple[float, float]:
    pairs = [pair for clip in clips if (pair := metric.tally(clip)) is not None]
    return sum(hits for hits, _ in pairs), sum(count for _, count in pairs)


def _by_place(scores: Sequence[ClipScore]) -> dict[tuple[str, str], dict[str, list[ClipScore]]]:
    """Generated clips by split and mode, then by prompt, but for those of `SAFETY_SPLITS`."""
    places: dict[tuple[str, str], dict[str, list[ClipScore]]] = {}
    for score in scores:
        if score.group == "generated" and score.split not in SAFETY_SPLITS:
            prompts = places.setdefault((score.split, score.mode), {})
            prompts.setdefault(score.prompt, []).append(score)
    return places


def _names(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{d.metric} ({d.split} {d.mode})" for d in differences)
