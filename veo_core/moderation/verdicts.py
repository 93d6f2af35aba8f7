"""What a judge answers on safety, and what it means under the categories' thresholds. It fails closed."""

from collections.abc import Sequence

from pydantic import Field

from veo_core.judges.batch import Outcome
from veo_core.moderation.categories import CATEGORIES, NONE, OTHER, UNJUDGED, Category, code_of, threshold_of
from veo_core.records.base import Record


class Verdict(Record):
    """What a judge answers about a clip or a prompt."""

    unsafe: bool
    category: str
    risk: float = Field(ge=0, le=1, description="0 where it is certainly safe, 1 where certainly not")
    reason: str

    def refused_as(self, categories: Sequence[Category] = CATEGORIES) -> str:
        """The category that it is refused as, empty where it is not.

        It is where it is called unsafe, or where its risk reaches the category's threshold. An answer that
        contradicts itself counts as the worse: a category that is named at no risk at all is refused.
        """
        name = self.category.strip().lower()
        is_named = name not in ("", NONE)
        chosen = name if is_named else OTHER
        refuses = (
            self.unsafe or self.risk >= threshold_of(chosen, categories) or (is_named and self.risk == 0.0)
        )
        return chosen if refuses else ""


class Ruling(Record):
    """Whether a prompt or a clip passes. Without a usable answer it does not.

    category, code: why it is refused; the code is stable, 0 where it passes.
    tier: "lexicon" or "judge", which decided.
    """

    unsafe: bool
    answered: bool = True
    category: str = ""
    code: int = 0
    tier: str = "judge"
    reason: str = ""
    judge_version: str = ""

    @property
    def refusal(self) -> str:
        """Why it is refused, as its author reads it: the category in words, and the stable code."""
        what = self.category.replace("_", " ") if self.answered else "it cannot be judged"
        return f"{what} (code {self.code})"


def ruling_of(outcome: Outcome[Verdict], categories: Sequence[Category] = CATEGORIES) -> Ruling:
    """What the outcome of a question means."""
    if outcome.answered is None:
        return unjudged(str(outcome.error))
    return ruled(outcome.answered.answer, outcome.answered.version, categories)


def ruled(verdict: Verdict, version: str, categories: Sequence[Category] = CATEGORIES) -> Ruling:
    """What an answer of a judge of this version means."""
    category = verdict.refused_as(categories)
    return Ruling(
        unsafe=bool(category),
        category=category or verdict.category,
        code=code_of(category, categories) if category else 0,
        reason=verdict.reason,
        judge_version=version,
    )


def unjudged(reason: str) -> Ruling:
    """Refused, malformed, unreadable or unanswered: unsafe."""
    return Ruling(unsafe=True, answered=False, category=UNJUDGED, code=code_of(UNJUDGED, ()), reason=reason)
