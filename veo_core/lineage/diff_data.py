"""What became of sources and clips in two runs, computed by columns so that 100,000 clips take seconds."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.lineage.difference import ClipChange, ClipFate, ClipFlow, DataDifference, SourceChange
from veo_core.lineage.evidence import Evidence
from veo_core.records.changes import Kind, value_changes
from veo_core.records.files import TableRef

_FATE = list(ClipFate.model_fields)
_COMPARED = ("verdict", "stage", "rule")
_KINDS: tuple[Kind, ...] = ("changed", "removed", "added")


def data_difference(
    first: Evidence, second: Evidence, tasks: Sequence[str], *, listed: int, notes: list[str]
) -> DataDifference | None:
    """The difference of what the ledgers of `tasks` say, or None where no ledger of both runs can be read.

    Args:
        tasks: names of tasks that both runs have, in the order of the pipeline.
        listed: the most changes to list of each kind.
        notes: gets what cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="veo-diff-") as folder:
        sides = [_Side(evidence, Path(folder), notes) for evidence in (first, second)]
        shared = [task for task in tasks if all(task in side.ledgers for side in sides)]
        if not shared:
            return None
        try:
            fates = [side.fates(shared) for side in sides]
            names = [side.names(shared) for side in sides]
            joined = _joined(*fates)
            kinds = {kind: joined.filter(pc.equal(joined["kind"], kind)) for kind in _KINDS}
            shown = [row for kind in _KINDS for row in kinds[kind].slice(0, listed).to_pylist()]
            details = [side.details(shared, [row["item"] for row in shown]) for side in sides]
        except (UsageError, OSError, pa.ArrowException) as error:
            notes.append(f"clips cannot be compared: {str(error).splitlines()[0]}")
            return None
    sources = list(_source_changes(*names))
    source_names = {source: name for side in names for source, (name, _) in side.items()}
    return DataDifference(
        first_kept=_kept(fates[0]),
        second_kept=_kept(fates[1]),
        sources_added=_count(sources, "added"),
        sources_removed=_count(sources, "removed"),
        sources_changed=_count(sources, "changed"),
        clips_added=kinds["added"].num_rows,
        clips_removed=kinds["removed"].num_rows,
        clips_changed=kinds["changed"].num_rows,
        flows=_flows(joined),
        sources=[source for kind in _KINDS for source in _of_kind(sources, kind)[:listed]],
        clips=[
            ClipChange(
                item=row["item"],
                source=source_names.get(row["source"], row["source"]),
                kind=row["kind"],
                first=details[0].get(row["item"]),
                second=details[1].get(row["item"]),
            )
            for row in shown
        ],
    )


class _Side:
    """The ledgers and sources of one run; tables of a remote store are downloaded into `folder`."""

    def __init__(self, evidence: Evidence, folder: Path, notes: list[str]) -> None:
        self._store = evidence.store
        self._folder = folder
        self._notes = notes
        self._sources = {s.task.name: m.tables["sources"] for s, m in evidence.with_table("sources")}
        self.ledgers = {s.task.name: m.tables["ledger"] for s, m in evidence.with_table("ledger")}

    def fates(self, tasks: Sequence[str]) -> pa.Table:
        """One row an item: the decision that lost it, or the last task's where it was kept to the end."""
        tables = []
        for task in tasks:
            ledger = self._read(self.ledgers[task], ["item", "source", *_COMPARED])
            kept = pc.equal(ledger["verdict"], "kept")
            tables.append(ledger if task == tasks[-1] else ledger.filter(pc.invert(kept)))
        return pa.concat_tables(tables)

    def details(self, tasks: Sequence[str], items: Sequence[str]) -> dict[str, ClipFate]:
        """The whole decision with which each of `items` ended."""
        wanted = pc.field("item").isin(pa.array(items, pa.string()))
        found = {}
        for task in tasks:
            for row in self._read(self.ledgers[task], ["item", *_FATE], wanted).to_pylist():
                item = row.pop("item")
                found[item] = ClipFate(**row)
        return found

    def names(self, tasks: Sequence[str]) -> dict[str, tuple[str, str]]:
        """(file name, sha256) of each source by id."""
        found: dict[str, tuple[str, str]] = {}
        for task in tasks:
            if task in self._sources:
                table = self._read(self._sources[task], ["source_id", "name", "file"])
                digests = pc.struct_field(table["file"], "sha256").to_pylist()
                pairs = zip(table["name"].to_pylist(), digests, strict=True)
                found |= dict(zip(table["source_id"].to_pylist(), pairs, strict=True))
        return found

    def _read(self, ref: TableRef, columns: list[str], wanted: pc.Expression | None = None) -> pa.Table:
        return pq.read_table(self._store.local_path(ref, self._folder), columns=columns, filters=wanted)


def _source_changes(
    first: Mapping[str, tuple[str, str]], second: Mapping[str, tuple[str, str]]
) -> Iterator[SourceChange]:
    for change in value_changes(dict(first.values()), dict(second.values())):
        yield SourceChange(
            name=change.name,
            kind=change.kind,
            first_sha256=change.first or "",
            second_sha256=change.second or "",
        )


def _joined(first: pa.Table, second: pa.Table) -> pa.Table:
    """Items of both sides whose fates differ, with the column `kind`."""
    sides = [
        side.rename_columns([name if name == "item" else f"{name}_{number}" for name in side.column_names])
        for number, side in enumerate((first, second), start=1)
    ]
    joined = sides[0].join(sides[1], keys="item", join_type="full outer")
    differs = pa.scalar(False)
    for name in _COMPARED:
        texts = [pc.fill_null(joined[f"{name}_{number}"], "") for number in (1, 2)]
        differs = pc.or_(differs, pc.not_equal(*texts))
    joined = joined.filter(differs)
    kind = pc.if_else(
        pc.is_null(joined["verdict_1"]),
        "added",
        pc.if_else(pc.is_null(joined["verdict_2"]), "removed", "changed"),
    )
    source = pc.coalesce(joined["source_1"], joined["source_2"])
    return joined.append_column("kind", kind).append_column("source", source).sort_by("item")


def _flows(joined: pa.Table) -> list[ClipFlow]:
    keys = [f"{name}_{number}" for number in (1, 2) for name in _COMPARED]
    if not joined.num_rows:
        return []
    counted = (
        joined.group_by(keys)
        .aggregate([("item", "count")])
        .sort_by([("item_count", "descending"), *((key, "ascending") for key in keys)])
    )
    sides = {"1": "first", "2": "second"}
    return [
        ClipFlow(
            items=row["item_count"],
            **{f"{sides[key[-1]]}_{key[:-2]}": row[key] or "" for key in keys},
        )
        for row in counted.to_pylist()
    ]


def _kept(fates: pa.Table) -> int:
    return int(pc.sum(pc.equal(fates["verdict"], "kept")).as_py() or 0)


def _of_kind(sources: Sequence[SourceChange], kind: Kind) -> list[SourceChange]:
    return [source for source in sources if source.kind == kind]


def _count(sources: Sequence[SourceChange], kind: Kind) -> int:
    return len(_of_kind(sources, kind))
