"""What every deciding stage shares: its ledger, its counts, its manifest."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from veo_core.errors import ItemError, UsageError
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Source
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Counts, Decision, Verdict
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.storage import Store

_LISTED = 3


@dataclass
class Ledger:
    """The decisions of one stage, one an item.

    Attributes:
        stage: the stage's short name.
        decisions: in the order in which they were taken.
    """

    stage: str
    decisions: list[Decision] = field(default_factory=list)

    def decide(self, item: Clip | Source, verdict: Verdict, rule: str = "", **details: Any) -> None:
        """Record what was decided on a clip or a source; `details` are further fields of `Decision`."""
        if isinstance(item, Clip):
            self.add(item.clip_id, item.source.source_id, verdict, rule, **details)
        else:
            self.add(item.source_id, item.source_id, verdict, rule, **details)

    def add(self, item: str, source: str, verdict: Verdict, rule: str = "", **details: Any) -> None:
        fields = {name: _text(value) for name, value in details.items()}
        self.decisions.append(
            Decision(item=item, source=source, stage=self.stage, verdict=verdict, rule=rule, **fields)
        )

    def fail(self, item: Clip | Source, error: ItemError) -> None:
        self.decide(item, "failed", error.rule, evidence=str(error))

    def kept(self, clips: Iterable[Clip]) -> list[Clip]:
        """Those of `clips` that this ledger keeps, sorted by id."""
        kept = {decision.item for decision in self.decisions if decision.verdict == "kept"}
        return sorted_by([clip for clip in clips if clip.clip_id in kept], "clip_id")

    def counts(self, *, received: int, added: int = 0) -> Counts:
        """How many items each verdict got.

        Raises:
            ValueError: an item has two decisions, or the numbers do not reconcile.
        """
        items = Counter(decision.item for decision in self.decisions)
        repeated = [item for item, times in items.items() if times > 1]
        if repeated:
            raise ValueError(f"{self.stage}: {len(repeated)} items have several decisions: {repeated[0]}")
        verdicts = Counter(decision.verdict for decision in self.decisions)
        return Counts(
            received=received,
            added=added,
            kept=verdicts["kept"],
            dropped=verdicts["dropped"],
            failed=verdicts["failed"],
            quarantined=verdicts["quarantined"],
        )

    def check_failed_share(self, max_failed_share: float, *, of: int) -> None:
        """Refuse a result in which too many of `of` items failed.

        Raises:
            UsageError: the share of failed items is above `max_failed_share`.
        """
        failed = [decision for decision in self.decisions if decision.verdict == "failed"]
        if len(failed) > max_failed_share * of:
            rules = Counter(decision.rule for decision in failed).most_common(_LISTED)
            listed = ", ".join(f"{times} {rule}" for rule, times in rules)
            raise UsageError(
                f"{self.stage}: {len(failed)} of {of} items failed ({listed}), more than "
                f"max_failed_share {max_failed_share:g} allows; the first: {failed[0].evidence}"
            )


def publish(
    ledger: Ledger,
    *,
    store: Store,
    config: Record,
    received: int,
    added: int = 0,
    tables: dict[str, tuple[Sequence[Record], type[Record]]],
    rows: int,
    files: dict[str, FileRef] | None = None,
    shards: Sequence[FileRef] = (),
    metrics: dict[str, float] | None = None,
) -> Manifest:
    """Store a stage's tables and ledger, and give the manifest that names them."""
    counts = ledger.counts(received=received, added=added)
    stored: dict[str, TableRef] = {
        name: store.put_table(table, record) for name, (table, record) in tables.items()
    }
    stored["ledger"] = store.put_table(sorted_by(ledger.decisions, "item"), Decision)
    return Manifest(
        stage=ledger.stage,
        config_digest=config.digest,
        rows=rows,
        counts=counts,
        tables=stored,
        files=files or {},
        shards=list(shards),
        metrics=metrics or {},
    )


def publish_clips(
    ledger: Ledger,
    kept: Sequence[Clip],
    *,
    store: Store,
    config: Record,
    received: int,
    added: int = 0,
    metrics: dict[str, float] | None = None,
) -> Manifest:
    """`publish` for a stage whose result is a table of clips."""
    rows = sorted_by(kept, "clip_id")
    return publish(
        ledger,
        store=store,
        config=config,
        received=received,
        added=added,
        tables={"clips": (rows, Clip)},
        rows=len(rows),
        metrics=metrics,
    )


def read_clips(manifest: Manifest, store: Store) -> list[Clip]:
    """The clips that a stage kept.

    Raises:
        UsageError: the manifest holds no table of clips.
    """
    if "clips" not in manifest.tables:
        raise UsageError(f"the manifest of stage {manifest.stage!r} holds no table of clips")
    return store.get_table(manifest.tables["clips"], Clip)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
