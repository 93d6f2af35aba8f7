"""What every deciding stage shares: its ledger, its counts, its manifest."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from veo_core.errors import ItemError, UsageError
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Source
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Counts, Decision, Verdict
from veo_core.records.manifest import Manifest
from veo_core.records.tables import TableWriter, sorted_by
from veo_core.stage import Context
from veo_core.storage import Store

_LISTED = 3


class ClipTable:
    """The clips that a stage kept, read a few at a time in the order of their ids.

    Args:
        manifest: the stage's manifest.
        store: where its tables are.

    Raises:
        UsageError: the manifest holds no table of clips.
    """

    def __init__(self, manifest: Manifest, store: Store) -> None:
        if "clips" not in manifest.tables:
            raise UsageError(f"the manifest of stage {manifest.stage!r} holds no table of clips")
        self.manifest = manifest
        self._store = store

    def __len__(self) -> int:
        return self.manifest.tables["clips"].rows

    def __iter__(self) -> Iterator[Clip]:
        return self._store.stream_table(self.manifest.tables["clips"], Clip)


class LedgerWriter:
    """The decisions of one stage, written as they come in the order of their items.

    Args:
        table: where they go.
        stage: the stage's short name.
    """

    def __init__(self, table: TableWriter[Decision], stage: str) -> None:
        self._table = table
        self._stage = stage
        self._verdicts: Counter[Verdict] = Counter()
        self._failures: Counter[str] = Counter()
        self._first_failure = ""
        self._last = ""

    def add(self, item: str, source: str, verdict: Verdict, rule: str = "", **details: Any) -> None:
        """Record what was decided on an item; `details` are further fields of `Decision`.

        Raises:
            ValueError: the item was decided on before, or is out of order.
        """
        if item <= self._last:
            raise ValueError(f"{self._stage}: decision on {item} comes again or out of order")
        self._last = item
        fields = {name: value if name == "scores" else _text(value) for name, value in details.items()}
        decision = Decision(item=item, source=source, stage=self._stage, verdict=verdict, rule=rule, **fields)
        self._table.add(decision)
        self._verdicts[verdict] += 1
        if verdict == "failed":
            self._failures[rule] += 1
            self._first_failure = self._first_failure or decision.evidence

    def counts(self, *, received: int, added: int = 0) -> Counts:
        """How many items each verdict got.

        Raises:
            ValueError: the numbers do not reconcile.
        """
        return Counts(
            received=received,
            added=added,
            kept=self._verdicts["kept"],
            dropped=self._verdicts["dropped"],
            failed=self._verdicts["failed"],
            quarantined=self._verdicts["quarantined"],
        )

    def check_failed_share(self, max_failed_share: float, *, of: int) -> None:
        """Refuse a result in which too many of `of` items failed.

        Raises:
            UsageError: the share of failed items is above `max_failed_share`.
        """
        failed = self._verdicts["failed"]
        if failed > max_failed_share * of:
            rules = ", ".join(f"{times} {rule}" for rule, times in self._failures.most_common(_LISTED))
            raise UsageError(
                f"{self._stage}: {failed} of {of} items failed ({rules}), more than "
                f"max_failed_share {max_failed_share:g} allows; the first: {self._first_failure}"
            )


class ClipWriter:
    """Writes a stage's decision on each of its clips, and the clips it keeps, in the order of their ids.

        with ClipWriter(clips, config=config, context=context) as out:
            for clip in clips:
                out.keep(clip)
        return out.manifest()

    Tables of the input other than clips and ledger go on to the stages that follow.
    """

    def __init__(self, clips: ClipTable, *, config: Record, context: Context) -> None:
        self._clips = clips
        self._config = config
        self._context = context
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        store = self._context.store
        self._ledger_table = self._stack.enter_context(store.write_table(Decision))
        self._table = self._stack.enter_context(store.write_table(Clip))
        self._ledger = LedgerWriter(self._ledger_table, self._context.stage)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def keep(self, clip: Clip, rule: str = "", **details: Any) -> None:
        """Keep a clip as it is given; `details` are further fields of `Decision`."""
        self._add(clip, "kept", rule, details)
        self._table.add(clip)

    def drop(self, clip: Clip, rule: str, **details: Any) -> None:
        self._add(clip, "dropped", rule, details)

    def quarantine(self, clip: Clip, rule: str, **details: Any) -> None:
        self._add(clip, "quarantined", rule, details)

    def fail(self, clip: Clip, rule: str, **details: Any) -> None:
        self._add(clip, "failed", rule, details)

    def _add(self, clip: Clip, verdict: Verdict, rule: str, details: dict[str, Any]) -> None:
        self._ledger.add(clip.clip_id, clip.source.source_id, verdict, rule, **details)

    def manifest(
        self,
        *,
        max_failed_share: float = 1.0,
        tables: dict[str, TableRef] | None = None,
        files: dict[str, FileRef] | None = None,
        shards: Sequence[FileRef] = (),
        metrics: dict[str, float] | None = None,
    ) -> Manifest:
        """The stage's manifest, after the block of this writer has ended.

        Raises:
            UsageError: more than `max_failed_share` of the clips failed.
            ValueError: a clip has no decision.
        """
        self._ledger.check_failed_share(max_failed_share, of=len(self._clips))
        counts = self._ledger.counts(received=len(self._clips))
        own = {"clips": self._table.ref, "ledger": self._ledger_table.ref}
        return Manifest(
            stage=self._context.stage,
            config_digest=self._config.digest,
            rows=self._table.rows,
            counts=counts,
            tables=self._clips.manifest.tables | own | (tables or {}),
            files=files or {},
            shards=list(shards),
            metrics=metrics or {},
        )


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
    forward: dict[str, TableRef] | None = None,
) -> Manifest:
    """`publish` for a stage whose result is a table of clips; `forward` are tables that go on as they are."""
    rows = sorted_by(kept, "clip_id")
    manifest = publish(
        ledger,
        store=store,
        config=config,
        received=received,
        added=added,
        tables={"clips": (rows, Clip)},
        rows=len(rows),
        metrics=metrics,
    )
    return manifest.model_copy(update={"tables": (forward or {}) | manifest.tables})


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
