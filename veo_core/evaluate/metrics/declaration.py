"""What a metric declares of itself: one declaration serves the summary, the report and the listing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from veo_core.evaluate.distances import Distance
from veo_core.evaluate.intervals import Estimate, bootstrap_mean, bootstrap_median
from veo_core.evaluate.records import ClipScore

Clips = Sequence[ClipScore]
Better = Literal["higher", "lower", "neither"]
Tier = Literal[0, 1, 2]
Tally = Callable[[ClipScore], tuple[float, float] | None]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of a set of clips.

    Attributes:
        name: its name in summaries.
        says: what it is, in a few words.
        unit: "share", "s", "dB", "dBFS", "levels" (of 255), "per clip", or empty for a bare number.
        better: which way is better.
        low: its least value; None where there is none.
        high: its greatest value; None where there is none.
        tier: 0 needs no weights, 1 networks that the pipeline trains itself, 2 published weights.
        needs: what it needs besides the clips; empty for nothing.
        source: the paper or the implementation that defines it.
    """

    name: str
    says: str
    unit: str
    better: Better
    low: float | None
    high: float | None
    source: str
    tier: Tier = 0
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class ClipMetric(Metric):
    """A metric that adds up what single clips are.

    Attributes:
        estimate: the figure of clips, given a seed for resampling.
        control: the figure after an exchange between clips; None where an exchange cannot change it.
        tally: what one clip adds to numerator and denominator of the figure, for comparisons of models that
            are paired by prompt; a median is compared as a mean. None where the clip tells nothing.
        mode: the one mode that it is about; empty for all modes and real clips.
        of_prompt: whether it is reported for each split of the prompts, not only for all of a mode.
    """

    estimate: Callable[[Clips, int], Estimate]
    tally: Tally
    control: Callable[[Clips, int], Estimate] | None = None
    mode: str = ""
    of_prompt: bool = False


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """A distance between the features of a set of clips and those of real clips.

    Attributes:
        space: the space of features, `ClipFeatures.space`.
        distance: of features [n, d] from [m, d].
    """

    space: str
    distance: Distance


def mean_of(figure: Callable[[ClipScore], float | None]) -> Callable[[Clips, int], Estimate]:
    """The mean over clips of a figure that each has or has not, resampled by prompt."""

    def estimate(clips: Clips, seed: int) -> Estimate:
        values, prompts = _known(clips, figure)
        return bootstrap_mean(values, seed=seed, clusters=prompts)

    return estimate


def median_of(figure: Callable[[ClipScore], float | None]) -> Callable[[Clips, int], Estimate]:
    """The median over clips of a figure that each has or has not, resampled by prompt."""

    def estimate(clips: Clips, seed: int) -> Estimate:
        values, prompts = _known(clips, figure)
        return bootstrap_median(values, seed=seed, clusters=prompts)

    return estimate


def one_each(figure: Callable[[ClipScore], float | None]) -> Tally:
    """The tally of a mean over clips."""

    def tally(clip: ClipScore) -> tuple[float, float] | None:
        value = figure(clip)
        return None if value is None else (value, 1.0)

    return tally


def mean_metric(
    name: str,
    says: str,
    figure: Callable[[ClipScore], float | None],
    *,
    better: Better,
    low: float | None,
    high: float | None,
    source: str,
    unit: str = "",
    tier: Tier = 0,
    needs: str = "",
    mode: str = "",
) -> ClipMetric:
    """A metric that is the mean over clips of a figure that each has or has not."""
    return ClipMetric(
        name=name,
        says=says,
        unit=unit,
        better=better,
        low=low,
        high=high,
        source=source,
        tier=tier,
        needs=needs,
        mode=mode,
        estimate=mean_of(figure),
        tally=one_each(figure),
    )


def prompt_of(clip: ClipScore) -> str:
    """What clips share that are no independent evidence: a prompt; a clip without one stands for itself."""
    return clip.prompt or clip.clip_id


def _known(clips: Clips, figure: Callable[[ClipScore], float | None]) -> tuple[list[float], list[str]]:
    found = [(value, prompt_of(clip)) for clip in clips if (value := figure(clip)) is not None]
    return [value for value, _ in found], [prompt for _, prompt in found]
