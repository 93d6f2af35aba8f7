"""What a judge's answer on content means: rules that drop, and flags with a policy each.

It fails closed: what is boxed counts as seen, and what must be blurred but has no box quarantines its clip.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

from pydantic import model_validator

from veo_core.curate.judging import Text
from veo_core.records.base import Record
from veo_core.records.clip import Flag, Region

JudgedRule = Literal["text_overlay", "watermark_or_logo", "unacceptable"]
JUDGED_RULES: tuple[JudgedRule, ...] = get_args(JudgedRule)

FlagKind = Literal["minor", "famous_person", "face", "plate", "document", "screen"]
FLAG_KINDS: tuple[FlagKind, ...] = get_args(FlagKind)

FlagPolicy = Literal["keep", "blur", "drop"]

_BEYOND = 0.02  # share of the picture by which a box may reach over its edge


class FlagPolicies(Record):
    """What becomes of a clip that shows such a thing: kept as it is, kept with the thing blurred, dropped."""

    minor: FlagPolicy = "drop"
    famous_person: FlagPolicy = "drop"
    face: FlagPolicy = "keep"
    plate: FlagPolicy = "blur"
    document: FlagPolicy = "blur"
    screen: FlagPolicy = "keep"


class SeenRegion(Record):
    """A box that a judge draws: shares of the picture's width and height, from the top left."""

    kind: FlagKind
    frame: int
    x0: float
    y0: float
    x1: float
    y1: float

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (
            -_BEYOND <= self.x0 < self.x1 <= 1 + _BEYOND and -_BEYOND <= self.y0 < self.y1 <= 1 + _BEYOND
        ):
            raise ValueError("a box's corners are not in order from 0 to 1")
        return self

    @property
    def region(self) -> Region:
        corners = {name: min(1.0, max(0.0, getattr(self, name))) for name in ("x0", "y0", "x1", "y1")}
        return Region(frame=self.frame, **corners)


class ContentAnswer(Record):
    """What a judge says of a clip."""

    text_overlay: bool
    watermark_or_logo: bool
    minor: bool
    famous_person: bool
    face: bool
    plate: bool
    document: bool
    screen: bool
    regions: list[SeenRegion]
    acceptable: bool
    reason: Text


@dataclass(frozen=True)
class ContentRuling:
    """What rules and policies say of an answer.

    Attributes:
        verdict: "kept", "dropped" or "quarantined".
        rule: why, "" for a kept clip without anything to blur.
        flags: everything that was seen and has a policy.
    """

    verdict: Literal["kept", "dropped", "quarantined"]
    rule: str
    flags: tuple[Flag, ...] = ()

    @property
    def to_blur(self) -> tuple[Flag, ...]:
        return tuple(flag for flag in self.flags if flag.policy == "blur")


def rule_on_content(
    answer: ContentAnswer, rules: Collection[str], policies: FlagPolicies, pictures: int
) -> ContentRuling:
    """Apply rules and policies to an answer about so many pictures."""
    flags = tuple(_flags(answer, policies))
    faults: Mapping[str, bool] = {
        "text_overlay": answer.text_overlay,
        "watermark_or_logo": answer.watermark_or_logo,
        **{flag.kind: flag.policy == "drop" for flag in flags},
        "unacceptable": not answer.acceptable,
    }
    for rule, found in faults.items():
        if found and (rule in FLAG_KINDS or rule in rules):
            return ContentRuling("dropped", rule, flags)
    if any(not 0 <= region.frame < pictures for region in answer.regions):
        return ContentRuling("quarantined", "judge_contradiction", flags)
    ruling = ContentRuling("kept", "", flags)
    kinds = [flag.kind for flag in ruling.to_blur]
    unboxed = [flag.kind for flag in ruling.to_blur if not flag.regions]
    if unboxed:
        return ContentRuling("quarantined", f"no_box:{','.join(unboxed)}", flags)
    return ContentRuling("kept", f"blurred:{','.join(kinds)}", flags) if kinds else ruling


def _flags(answer: ContentAnswer, policies: FlagPolicies) -> list[Flag]:
    flags = []
    for kind in FLAG_KINDS:
        regions = [seen.region for seen in answer.regions if seen.kind == kind]
        if regions or getattr(answer, kind):
            flags.append(Flag(kind=kind, policy=getattr(policies, kind), regions=regions))
    return flags
