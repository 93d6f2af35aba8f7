"""Prompt following: what a prompt asks for against what the detectors see and hear."""

from collections.abc import Sequence
from itertools import permutations

from veo_core.evaluate.records import AttributeScore, SeenObject
from veo_core.world.attributes import ObjectAttributes, SceneAttributes

CORE = ("count", "shape", "colour", "direction", "pitch")
MANNER = ("size", "speed")
_OBJECT = ("shape", "colour", "direction", *MANNER)
_NOTHING = SeenObject()


def score_attributes(wanted: SceneAttributes, seen: Sequence[SeenObject], pitch: str) -> list[AttributeScore]:
    """Each attribute that the prompt mentions, and whether the clip has it.

    Objects are matched so that the most attributes are right. With two objects an attribute is right where
    it is right for both.

    Args:
        wanted: what the prompt asks for.
        seen: the objects that the detectors found.
        pitch: the pitch that they heard; empty where they heard none.
    """
    pairs = _best_match(wanted.objects, seen)
    scores = [_score("count", [str(len(wanted.objects))], [str(len(seen))])]
    for name in _OBJECT:
        asked = [(getattr(want, name), getattr(see, name)) for want, see in pairs if getattr(want, name)]
        if asked:
            scores.append(_score(name, [want for want, _ in asked], [see for _, see in asked]))
    if wanted.pitch is not None:
        scores.append(_score("pitch", [wanted.pitch], [pitch]))
    return scores


def all_right(scores: Sequence[AttributeScore]) -> bool:
    """Whether count, shape, colour, direction and pitch are right, as far as the prompt mentions them."""
    return all(score.right for score in scores if score.name in CORE)


def _score(name: str, wanted: Sequence[str], seen: Sequence[str]) -> AttributeScore:
    heard = ", ".join(value or "nothing" for value in seen) if any(seen) else ""
    return AttributeScore(name=name, wanted=", ".join(wanted), seen=heard, right=list(wanted) == list(seen))


def _best_match(
    wanted: Sequence[ObjectAttributes], seen: Sequence[SeenObject]
) -> list[tuple[ObjectAttributes, SeenObject]]:
    padded = [*seen, *[_NOTHING] * max(0, len(wanted) - len(seen))]
    best = max(
        permutations(padded, len(wanted)),
        key=lambda chosen: sum(_agreement(want, see) for want, see in zip(wanted, chosen, strict=True)),
    )
    return list(zip(wanted, best, strict=True))


def _agreement(wanted: ObjectAttributes, seen: SeenObject) -> int:
    return sum(getattr(wanted, name) == getattr(seen, name) for name in _OBJECT)
