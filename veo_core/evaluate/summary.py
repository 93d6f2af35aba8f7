"""From the scores of clips to figures with intervals, floors and chance levels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from veo_core.evaluate.following import CORE, MANNER, all_right, score_attributes
from veo_core.evaluate.intervals import Estimate, bootstrap_mean, bootstrap_median, clustered_share, wilson
from veo_core.evaluate.records import AttributeScore, ClipScore, SummaryRow
from veo_core.evaluate.sync import exchange, match_events
from veo_core.media.sync import lag
from veo_core.world.grammar import parse

TOLERANCE = 0.1
_FURTHEST = 0.5
_ROUNDS = 4
_MODES = ("t2v", "i2v", "v2a", "a2v")

Clips = Sequence[ClipScore]


@dataclass(frozen=True)
class Metric:
    """A figure of a set of clips.

    Attributes:
        name: its name in the summary.
        unit: "share", "s", "dB", "dBFS", "levels" (of 255) or "per clip".
        better: which way is better.
        estimate: the figure of a set, given a seed for resampling.
        control: the figure after an exchange between clips; None where an exchange cannot change it.
        mode: the one mode that it is about; empty for all modes and real clips.
    """

    name: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    estimate: Callable[[Clips, int], Estimate]
    control: Callable[[Clips, int], Estimate] | None = None
    mode: str = ""


def summarise(scores: Clips, *, seed: int) -> list[SummaryRow]:
    """Every metric on each group of clips: by split and mode for prompts, by mode for all else.

    Args:
        scores: generated and real clips.
        seed: seed of resampling and exchanges.
    """
    real = [score for score in scores if score.group == "real"]
    generated = [score for score in scores if score.group == "generated"]
    rows: list[SummaryRow] = []
    for metric in (*PROMPT_METRICS, *CLIP_METRICS):
        floor = metric.estimate(real, seed)
        for mode in (metric.mode,) if metric.mode else _MODES:
            of_mode = [score for score in generated if score.mode == mode]
            splits = dict.fromkeys(score.split if metric in PROMPT_METRICS else "all" for score in of_mode)
            for split in splits:
                chosen = [score for score in of_mode if split in (score.split, "all")]
                rows.append(_row(metric, split, mode, chosen, floor.value, seed))
        if real and not metric.mode:
            rows.append(_row(metric, "real", "", real, None, seed))
    return rows


def _row(
    metric: Metric, split: str, mode: str, clips: Clips, reference: float | None, seed: int
) -> SummaryRow:
    estimate = metric.estimate(clips, seed)
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
        control=metric.control(clips, seed).value if metric.control else None,
    )


def _following(name: str) -> Metric:
    def is_right(attributes: Sequence[AttributeScore]) -> bool | None:
        if name == "all":
            return all_right(attributes) if attributes else None
        return next((attribute.right for attribute in attributes if attribute.name == name), None)

    def share(scored: Iterator[Sequence[AttributeScore]]) -> Estimate:
        marks = [mark for mark in map(is_right, scored) if mark is not None]
        return wilson(sum(marks), len(marks))

    return Metric(
        name=f"following_{name}",
        unit="share",
        better="higher",
        estimate=lambda clips, seed: share(clip.attributes for clip in clips),
        control=lambda clips, seed: share(_with_other_prompts(clips, seed)),
    )


def _with_other_prompts(clips: Clips, seed: int) -> Iterator[list[AttributeScore]]:
    """The scores that pictures get for the prompts of other clips."""
    wanted = [parse(clip.prompt) for clip in clips]
    for picture, prompt in exchange(len(clips), rounds=_ROUNDS, seed=seed):
        attributes = wanted[prompt]
        if attributes is not None:
            yield score_attributes(attributes, clips[picture].objects, clips[picture].pitch)


def _pairs(clips: Clips) -> list[tuple[list[float], list[float]]]:
    return [(clip.contacts, clip.onsets) for clip in clips if not clip.problem]


def _with_other_sounds(clips: Clips, seed: int) -> list[tuple[list[float], list[float]]]:
    own = _pairs(clips)
    return [(own[i][0], own[j][1]) for i, j in exchange(len(own), rounds=_ROUNDS, seed=seed)]


Pairs = Sequence[tuple[list[float], list[float]]]


def _sync(
    name: str, unit: str, better: Literal["higher", "lower"], figure: Callable[[Pairs, int], Estimate]
) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        better=better,
        estimate=lambda clips, seed: figure(_pairs(clips), seed),
        control=lambda clips, seed: figure(_with_other_sounds(clips, seed), seed),
    )


def _matched_share(tolerance: float) -> Callable[[Pairs, int], Estimate]:
    def share(pairs: Pairs, seed: int) -> Estimate:
        hits = [len(match_events(contacts, onsets, tolerance)) for contacts, onsets in pairs]
        return clustered_share(hits, [len(contacts) for contacts, _ in pairs])

    return share


def _error(pairs: Pairs, seed: int) -> Estimate:
    matches = [match_events(contacts, onsets, TOLERANCE) for contacts, onsets in pairs]
    errors = [float(np.median([abs(match.error) for match in found])) for found in matches if found]
    return bootstrap_median(errors, seed=seed)


def _lag(pairs: Pairs, seed: int) -> Estimate:
    lags = [
        lag(np.asarray(onsets), np.asarray(contacts), tolerance=TOLERANCE / 2, furthest=_FURTHEST)
        for contacts, onsets in pairs
    ]
    return bootstrap_median([value for value in lags if value is not None], seed=seed)


def _false_onsets(pairs: Pairs, seed: int) -> Estimate:
    counts = [len(onsets) - len(match_events(contacts, onsets, TOLERANCE)) for contacts, onsets in pairs]
    return bootstrap_mean([float(count) for count in counts], seed=seed)


def _mean(
    name: str,
    unit: str,
    better: Literal["higher", "lower", "neither"],
    figure: Callable[[ClipScore], float | None],
    mode: str = "",
) -> Metric:
    def mean(clips: Clips, seed: int) -> Estimate:
        values = [value for value in map(figure, clips) if value is not None]
        return bootstrap_mean(values, seed=seed)

    return Metric(name, unit, better, mean, mode=mode)


def _playable(clips: Clips, seed: int) -> Estimate:
    return wilson(sum(not clip.problem and clip.loudness is not None for clip in clips), len(clips))


PROMPT_METRICS = tuple(_following(name) for name in ("all", *CORE, *MANNER))
CLIP_METRICS = (
    Metric("playable_with_sound", "share", "higher", _playable),
    _sync("sync_share_50ms", "share", "higher", _matched_share(0.05)),
    _sync("sync_share_100ms", "share", "higher", _matched_share(TOLERANCE)),
    _sync("sync_error", "s", "lower", _error),
    _sync("sync_lag", "s", "lower", _lag),
    _sync("false_onsets", "per clip", "lower", _false_onsets),
    _mean(
        "contacts", "per clip", "neither", lambda clip: None if clip.problem else float(len(clip.contacts))
    ),
    _mean("first_frame_psnr", "dB", "higher", lambda clip: clip.first_frame_psnr, "i2v"),
    _mean("first_frame_codec_psnr", "dB", "higher", lambda clip: clip.first_frame_codec_psnr, "i2v"),
    _mean("codec_psnr", "dB", "higher", lambda clip: clip.codec_psnr, "i2v"),
    _mean("motion", "levels", "neither", lambda clip: clip.motion),
    _mean("flicker", "levels", "lower", lambda clip: clip.flicker),
    _mean("loudness", "dBFS", "neither", lambda clip: clip.loudness),
    _mean("clipped", "share", "lower", lambda clip: clip.clipped),
)
