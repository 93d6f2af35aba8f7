"""What a judge's answer on safety means: the worst finding over all frames, under a policy by category.

It fails closed: an answer that contradicts itself counts as the worse of the two, one that leaves frames out
is no answer.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model

from veo_core.curate.judging import Text
from veo_core.records.base import Record

SafetyPolicy = Literal["drop", "quarantine", "keep"]

NONE, OTHER = "none", "other"
_UNNAMED_RISK = 0.5
_SEVERITY: dict[SafetyPolicy, int] = {"keep": 0, "quarantine": 1, "drop": 2}


class SafetyCategory(Record):
    """A kind of scene, and what becomes of clips that show it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="as ledger and answers write it")
    scene: str = Field(description="the scene that the judge looks for, in words")
    policy: SafetyPolicy = Field(default="drop", description="drop, quarantine, or keep with a note")
    threshold: float = Field(default=0.5, ge=0, le=1, description="least score at which the policy applies")


CATEGORIES = (
    SafetyCategory(
        name="child_safety", scene="a minor who is sexualised, abused or in danger", threshold=0.2
    ),
    SafetyCategory(name="sexual", scene="nudity, sexual acts, or poses meant to arouse"),
    SafetyCategory(
        name="violence", scene="people or animals who are attacked, injured or killed; blood, gore"
    ),
    SafetyCategory(name="self_harm", scene="a person who harms himself or herself, or prepares to"),
    SafetyCategory(name="hate", scene="signs, gestures or rallies of groups that preach hate or terror"),
    SafetyCategory(
        name="dangerous_acts", scene="an act that would injure those who copy it, shown as worth copying"
    ),
    SafetyCategory(
        name="weapons", scene="a weapon that is aimed, fired or built; not a tool that is used as one"
    ),
    SafetyCategory(name="drugs", scene="illegal drugs that are made, sold or taken"),
    SafetyCategory(name="hazard", scene="a sign in the picture that marks it as harmful"),
    SafetyCategory(name=OTHER, scene="anything else that no training set should hold"),
)


class FrameVerdict(Record):
    """What a judge says of one picture; `risk` is 0 where it is certainly safe, 1 where certainly not."""

    category: str
    risk: float = Field(ge=0, le=1)


class SafetyAnswer(Record):
    """What a judge says of a clip; `frames` holds one verdict for each picture, in their order."""

    unsafe: bool
    category: str
    reason: Text
    frames: list[FrameVerdict] = Field(default_factory=list)


@dataclass(frozen=True)
class Ruling:
    """What the policy says of an answer.

    Attributes:
        action: what is to be done.
        rule: names the finding that decides, "" where nothing was found.
        risk, threshold: of that finding.
        frame: the picture that shows it, None where the answer on the whole clip decides.
        scores: the highest risk of each category that was named.
    """

    action: SafetyPolicy
    rule: str = ""
    risk: float = 0.0
    threshold: float = 0.0
    frame: int | None = None
    scores: dict[str, float] = field(default_factory=dict)


@lru_cache(maxsize=8)
def answer_type(names: tuple[str, ...]) -> type[SafetyAnswer]:
    """The type of answers whose categories are `names`, "none" and "other".

    A server that keeps to schemas can give no other category; what another one makes up counts as "other".
    """
    options = (NONE, *(name for name in names if name != OTHER), OTHER)

    def known(value: object) -> object:
        if not isinstance(value, str):
            return value
        plain = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_") or NONE
        return plain if plain in options else OTHER

    category = Annotated[str, BeforeValidator(known), Field(json_schema_extra={"enum": list(options)})]
    frame: Any = create_model("FrameVerdict", __base__=FrameVerdict, category=(category, ...))
    return create_model(
        "SafetyAnswer",
        __base__=SafetyAnswer,
        category=(category, ...),
        frames=(list[frame], Field(default_factory=list)),
    )


def rule_on(answer: SafetyAnswer, categories: Sequence[SafetyCategory], pictures: int) -> Ruling:
    """Apply the policies to an answer about so many pictures.

    The gravest action wins, of equal ones the highest risk. A clip that is called unsafe without a category
    is dropped; a picture that is said to be a risk without one, and an answer that leaves pictures out,
    quarantine their clip.
    """
    found = [finding for finding in _findings(answer, categories) if finding.risk >= finding.threshold]
    if len(answer.frames) != pictures:
        found.append(Ruling("quarantine", "judge_incomplete"))
    worst = max(found, key=lambda finding: (_SEVERITY[finding.action], finding.risk), default=Ruling("keep"))
    scores: dict[str, float] = {}
    for frame in answer.frames:
        if frame.category != NONE:
            scores[frame.category] = max(frame.risk, scores.get(frame.category, 0.0))
    return replace(worst, scores=scores)


def _findings(answer: SafetyAnswer, categories: Sequence[SafetyCategory]) -> Iterator[Ruling]:
    policies = {category.name: category for category in categories}
    policies.setdefault(OTHER, SafetyCategory(name=OTHER, scene=""))

    def finding(name: str, risk: float, frame: int | None) -> Ruling:
        category = policies.get(name, policies[OTHER])
        return Ruling(category.policy, f"unsafe:{name}", risk, category.threshold, frame)

    for number, frame in enumerate(answer.frames):
        if frame.category != NONE:
            yield finding(frame.category, frame.risk, number)
        elif frame.risk >= _UNNAMED_RISK:
            yield Ruling("quarantine", "judge_contradiction", frame.risk, _UNNAMED_RISK, number)
    if answer.category != NONE:
        yield finding(answer.category, 1.0, None)
    elif answer.unsafe:
        yield Ruling("drop", "unsafe:unnamed", 1.0, _UNNAMED_RISK)
