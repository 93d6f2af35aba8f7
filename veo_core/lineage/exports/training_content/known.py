"""What the answers of a public summary of training content rest on."""

from dataclasses import dataclass
from typing import Any

from veo_core.lineage.exports.training_content.footage import Footage
from veo_core.records.ledger import Outcome
from veo_core.records.run import RunRecord

HOUR = 3600
"""Seconds."""

MADE = "world"
"""Origin of footage that the procedural world rendered."""


@dataclass(frozen=True)
class Known:
    """What the answers rest on.

    Attributes:
        run: the run's record.
        model: the model's name and version; empty where none was registered.
        footage: counts over the training clips.
        outcomes: what each stage of the curation decided, by reason.
    """

    run: RunRecord
    model: str
    footage: Footage
    outcomes: list[Outcome]

    def setting(self, stage: str, *keys: str) -> Any:
        """A key of a stage's configuration; None where the record has none."""
        value: Any = self.run.parameters.get(f"{stage}_config")
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def lost(self, stage: str, *rules: str) -> int | str:
        """How many items a stage did not keep, for one of the rules where any are named."""
        own = [row for row in self.outcomes if row.stage == stage]
        if not own:
            return "not on record"
        return sum(row.items for row in own if row.verdict != "kept" and (not rules or row.rule in rules))

    @property
    def made(self) -> bool:
        """Whether every training clip was rendered by the procedural world."""
        return set(self.footage.origins) == {MADE}
