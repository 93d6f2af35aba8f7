"""Decisions on items: the append-only account of what was kept and what was not."""

from typing import Literal, Self

from pydantic import Field, model_validator

from veo_core.records.base import Record

Verdict = Literal["kept", "dropped", "failed", "quarantined"]


class Decision(Record):
    """What one stage decided on one item, and why.

    `value` and `threshold` are the measured figure and the limit of the rule, as text.
    `evidence` is what a reviewer reads: an error text, a judge's reason.
    `partner` is the id of the other item that the decision rests on, as with duplicates.
    `scores` are further measured figures by name, such as each likeness of two duplicates.
    """

    item: str = Field(description="clip id, or source id before a clip exists")
    source: str = Field(description="id of the source file that the item comes from")
    stage: str
    verdict: Verdict
    rule: str = ""
    value: str = ""
    threshold: str = ""
    evidence: str = ""
    partner: str = ""
    scores: dict[str, float] = Field(default_factory=dict)
    judge: str = ""
    judge_version: str = ""


class Outcome(Record):
    """How many items a stage gave one verdict for one reason; row of the table `funnel`."""

    stage: str
    verdict: Verdict
    rule: str = Field(description="empty where items were kept for no reason in particular")
    items: int


class Counts(Record):
    """How many items a stage received and where each of them went.

    `added` counts the extra items of a stage that splits one item into several.
    """

    received: int
    added: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0
    quarantined: int = 0

    @model_validator(mode="after")
    def _reconcile(self) -> Self:
        into = self.received + self.added
        out = self.kept + self.dropped + self.failed + self.quarantined
        if into != out:
            raise ValueError(f"the ledger does not reconcile: {into} items in, {out} items out")
        return self
