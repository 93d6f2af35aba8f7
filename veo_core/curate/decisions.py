"""What every deciding stage shares: its ledger, its counts, its manifest."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self

from veo_core.curate.funnel import outcomes, passed_on
from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Counts, Decision, Outcome, Verdict
from veo_core.records.manifest import Manifest
from veo_core.records.tables import TableWriter
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
        self._outcomes: Counter[tuple[Verdict, str]] = Counter()
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
        self._outcomes[verdict, rule] += 1
        if verdict == "failed":
            self._first_failure = self._first_failure or decision.evidence

    def counts(self, *, received: int, added: int = 0) -> Counts:
        """How many items each verdict got.

        Raises:
            ValueError: the numbers do not reconcile.
        """
        return Counts(
            received=received,
            added=added,
            kept=self._count("kept"),
            dropped=self._count("dropped"),
            failed=self._count("failed"),
            quarantined=self._count("quarantined"),
        )

    def funnel(self, before: Manifest | None, store: Store) -> TableRef:
        """The table of outcomes of the stages up to this one; `before` is the manifest that it decided on."""
        earlier = [] if before is None else passed_on(before, store)
        return store.put_table([*earlier, *outcomes(self._stage, self._outcomes)], Outcome)

    def check_failed_share(self, max_failed_share: float, *, of: int) -> None:
        """Refuse a result in which too many of `of` items failed.

        Raises:
            UsageError: the share of failed items is above `max_failed_share`.
        """
        failed = self._count("failed")
        if failed > max_failed_share * of:
            reasons = self._outcomes.most_common()
            failures = [f"{items} {rule}" for (verdict, rule), items in reasons if verdict == "failed"]
            rules = ", ".join(failures[:_LISTED])
            raise UsageError(
                f"{self._stage}: {failed} of {of} items failed ({rules}), more than "
                f"max_failed_share {max_failed_share:g} allows; the first: {self._first_failure}"
            )

    def _count(self, verdict: Verdict) -> int:
        return sum(items for (found, _), items in self._outcomes.items() if found == verdict)


class ClipWriter:
    """Writes a stage's decision on each of its clips, and the clips it keeps, in the order of their ids.

        with ClipWriter(clips, config=config, context=context) as out:
            for clip in clips:
                out.keep(clip)
        return out.manifest()

    Tables of the input other than clips, ledger and funnel go on to the stages that follow.
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
        own = {
            "clips": self._table.ref,
            "ledger": self._ledger_table.ref,
            "funnel": self._ledger.funnel(self._clips.manifest, self._context.store),
        }
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


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
