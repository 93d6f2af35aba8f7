"""Evidence that generated clips carry their watermark: what was read back against what was put in."""

from collections.abc import Sequence

from veo_core.evaluate.intervals import wilson
from veo_core.records.base import Record
from veo_core.safety.records import Figure


class MarkRead(Record):
    """What was read back from one clip."""

    clip_id: str
    expected: str = ""
    found: str = ""
    problem: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the payload that was put in came back."""
        return bool(self.expected) and self.found == self.expected and not self.problem


def unmarked_figure(rows: Sequence[MarkRead]) -> Figure:
    """How many clips do not give their payload back."""
    bad = sum(not row.is_right for row in rows)
    estimate = wilson(bad, len(rows))
    return Figure(
        name="unmarked_outputs",
        bad=bad,
        unanswered=0,
        n=len(rows),
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )
