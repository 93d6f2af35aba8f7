"""Prompt following: shares of clips in which what the prompt mentions is seen and heard."""

from collections import Counter
from collections.abc import Sequence

from veo_core.evaluate.following import CORE, MANNER, all_right, score_attributes
from veo_core.evaluate.intervals import Estimate, share
from veo_core.evaluate.metrics.declaration import ClipMetric, Clips, prompt_of
from veo_core.evaluate.records import AttributeScore, ClipScore, ConfusionRow
from veo_core.evaluate.sync import exchange
from veo_core.world.grammar import parse

_ROUNDS = 4
_SOURCE = "GenEval's idea (2310.11513): detectors check each attribute; here veo_core.world's detectors"


def _metric(name: str) -> ClipMetric:
    def is_right(attributes: Sequence[AttributeScore]) -> bool | None:
        if name == "all":
            return all_right(attributes) if attributes else None
        return next((attribute.right for attribute in attributes if attribute.name == name), None)

    def figure(scored: Sequence[tuple[Sequence[AttributeScore], str]]) -> Estimate:
        marks = [
            (mark, prompt) for attributes, prompt in scored if (mark := is_right(attributes)) is not None
        ]
        return share([mark for mark, _ in marks], [prompt for _, prompt in marks])

    def tally(clip: ClipScore) -> tuple[float, float] | None:
        mark = is_right(clip.attributes)
        return None if mark is None else (float(mark), 1.0)

    return ClipMetric(
        name=f"following_{name}",
        says="clips in which " + ("all that the prompt mentions" if name == "all" else name) + " is right",
        unit="share",
        better="higher",
        low=0.0,
        high=1.0,
        source=_SOURCE,
        needs="prompts of the world's grammar",
        estimate=lambda clips, seed: figure([(clip.attributes, prompt_of(clip)) for clip in clips]),
        tally=tally,
        control=lambda clips, seed: figure(_with_other_prompts(clips, seed)),
        of_prompt=True,
    )


def _with_other_prompts(clips: Clips, seed: int) -> list[tuple[list[AttributeScore], str]]:
    """The scores that pictures get for the prompts of other clips."""
    wanted = [parse(clip.prompt) for clip in clips]
    scored = []
    for picture, prompt in exchange(len(clips), rounds=_ROUNDS, seed=seed):
        attributes = wanted[prompt]
        if attributes is not None:
            marks = score_attributes(attributes, clips[picture].objects, clips[picture].pitch)
            scored.append((marks, prompt_of(clips[prompt])))
    return scored


def confusions(clips: Clips) -> list[ConfusionRow]:
    """The confusion matrix of each attribute, by split and mode; of two objects each counts by itself."""
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    for clip in clips:
        for attribute in clip.attributes:
            wanted = attribute.wanted.split(", ")
            seen = attribute.seen.split(", ") if attribute.seen else [""] * len(wanted)
            for want, see in zip(wanted, seen, strict=True):
                value = "" if see == "nothing" else see
                counts[attribute.name, clip.split, clip.mode, want, value] += 1
    return [
        ConfusionRow(attribute=name, split=split, mode=mode, wanted=wanted, seen=seen, count=count)
        for (name, split, mode, wanted, seen), count in sorted(counts.items())
    ]


METRICS = tuple(_metric(name) for name in ("all", *CORE, *MANNER))
