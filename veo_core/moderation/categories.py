"""The categories of harm, each with a stable code for refusals and a threshold for a judge's risk."""

from collections.abc import Sequence

from pydantic import Field

from veo_core.records.base import Record

NONE, OTHER = "none", "other"
UNJUDGED = "unjudged"
"""The category of what no judge gave a usable answer on."""

UNJUDGED_CODE = 999
_OTHER_CODE = 990
_THRESHOLD = 0.5


class Category(Record):
    """A kind of content that is refused."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="as judges answer it")
    code: int = Field(ge=100, le=999, description="stable number that a refusal carries")
    scene: str = Field(description="what the judge looks for, in words")
    threshold: float = Field(
        default=_THRESHOLD, ge=0, le=1, description="least risk in a judge's answer that is refused"
    )


GENERAL_CATEGORIES = (
    Category(name="child_safety", code=100, scene="a minor sexualised, abused or in danger", threshold=0.2),
    Category(name="sexual", code=200, scene="nudity or sexual acts"),
    Category(name="violence", code=300, scene="people or animals attacked, injured or killed; gore"),
    Category(name="self_harm", code=400, scene="self-harm, or preparation for it"),
    Category(name="hate", code=500, scene="hate or terror, its signs and rallies"),
    Category(name="dangerous_acts", code=600, scene="acts that would injure those who copy them"),
    Category(name="weapons", code=700, scene="weapons aimed, fired or built"),
    Category(name="drugs", code=800, scene="illegal drugs made, sold or taken"),
    Category(name="likeness", code=900, scene="a real person's likeness"),
    Category(name=OTHER, code=_OTHER_CODE, scene="anything else that must not be shown"),
)
"""What is refused of models of real footage."""

HAZARD = Category(name="hazard", code=950, scene="a sign or an alarm that marks harmful content")
"""The procedural world's: a sign in the picture and an alarm in the sound stand for all harmful content."""

CATEGORIES = (*GENERAL_CATEGORIES[:-1], HAZARD, GENERAL_CATEGORIES[-1])
"""What is refused of models of the procedural world."""


def code_of(name: str, categories: Sequence[Category]) -> int:
    """The code of a category, listed or one of ours; that of "other" for any other name."""
    if name == UNJUDGED:
        return UNJUDGED_CODE
    known = (*categories, *CATEGORIES)
    return next((category.code for category in known if category.name == name), _OTHER_CODE)


def threshold_of(name: str, categories: Sequence[Category]) -> float:
    """The threshold of a category; for a name that is not listed, that of "other" or the usual one."""
    listed = {category.name: category.threshold for category in categories}
    return listed.get(name, listed.get(OTHER, _THRESHOLD))
