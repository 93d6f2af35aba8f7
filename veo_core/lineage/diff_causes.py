"""Why the output of one task may differ between two runs: what its records say of itself, input by input."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.lineage.difference import Cause, DataDifference, SourceChange
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.changes import ValueChange, value_changes
from veo_core.records.files import TableRef
from veo_core.records.run import RunRecord, TaskRecord

_PLACES = ("root",)
_MACHINE = ("python", "platform", "cpu", "cpus", "memory_bytes")
_SIZES = ("cpus", "memory_bytes")
_NAMED_SOURCES = 20
_SHOWN = 60


def causes(
    first_run: RunRecord, second_run: RunRecord, first: TaskRecord, second: TaskRecord, upstream: bool
) -> list[Cause]:
    """What differs in the task itself, most telling first; where the store is does not count.

    Args:
        upstream: whether tasks before it differ, so that its inputs are no cause of their own.
    """
    found = _states((first_run, first), (second_run, second))
    if first.started is None or second.started is None:
        return found
    found += [*_parameters(first, second), *_code(first_run, second_run, first, second)]
    for change in value_changes(first.env, second.env):
        found.append(Cause(kind="environment", name=change.name, text=f"variable {_told(change)}"))
    if first.command[:3] != second.command[:3] and first.command and second.command:
        text = f"its command is {' '.join(second.command[:3])}, not {' '.join(first.command[:3])}"
        found.append(Cause(kind="command", name=second.component, text=text))
    if not upstream:
        found += _inputs(first, second)
    return found


def source_causes(data: DataDifference) -> list[Cause]:
    """The sources that differ, those with other bytes first."""
    found = [
        Cause(kind="source", name=source.name, text=_source_text(source))
        for source in data.sources[:_NAMED_SOURCES]
    ]
    more = data.sources_changed + data.sources_removed + data.sources_added - len(found)
    if more:
        found.append(Cause(kind="source", name="", text=f"{more} more sources differ"))
    return found


def judge_causes(
    first: Evidence, second: Evidence, stages: tuple[StageEvidence, StageEvidence]
) -> list[Cause]:
    """Judges that answered with another version, or only in one run."""
    tables = [stage.manifest.tables.get("clips") if stage.manifest else None for stage in stages]
    ledgers = [stage.manifest.tables.get("ledger") if stage.manifest else None for stage in stages]
    with tempfile.TemporaryDirectory(prefix="veo-diff-") as folder:
        try:
            judges = [
                _judges(evidence, (clips, ledger), Path(folder))
                for evidence, clips, ledger in zip((first, second), tables, ledgers, strict=True)
            ]
        except (UsageError, OSError, pa.ArrowException):
            return []
    return [
        Cause(kind="judge", name=change.name, text=f"judge {_told(change)}")
        for change in value_changes(*judges)
    ]


def machines(*runs: RunRecord) -> list[dict[str, Any]]:
    """What all of the records state of their machines; earlier ones name no CPU and no accelerators."""
    names = [name for name in _MACHINE if all(getattr(run, name) for run in runs)]
    names += ["accelerators"] * all(run.cpu for run in runs)
    return [{name: getattr(run, name) for name in names} for run in runs]


def machine_causes(first: RunRecord, second: RunRecord) -> list[Cause]:
    """Differences of interpreter, libraries and hardware: they count where nothing nearer does."""
    changes = [c for c in value_changes(*machines(first, second)) if c.name not in _SIZES]
    found = [Cause(kind="machine", name=c.name, text=_told(c)) for c in changes]
    if first.packages and second.packages:
        for change in value_changes(first.packages, second.packages):
            found.append(Cause(kind="library", name=change.name, text=f"library {_told(change)}"))
    return found


def without_places(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without that which says where the store is: what a run gives does not depend on it."""
    return {name: value for name, value in parameters.items() if name not in _PLACES}


def unexplained(parts: list[str]) -> Cause:
    """What to say where all that is recorded is equal."""
    where = f"; what differs: {', '.join(parts)}" if parts else ""
    return Cause(kind="unrecorded", name="", text=f"nothing that the records state explains it{where}")


def _states(*sides: tuple[RunRecord, TaskRecord]) -> list[Cause]:
    return [
        Cause(
            kind="state",
            name=run.run_id,
            text=f"{task.state.lower()} in run {run.run_id}: {task.reason or 'no reason is recorded'}",
        )
        for run, task in sides
        if task.state in ("FAILED", "SKIPPED", "CANCELLED")
    ]


def _parameters(first: TaskRecord, second: TaskRecord) -> Iterator[Cause]:
    """Arguments, those left out that repeat the digest of an input or name a place."""
    left_out = {f"{name}_digest" for name in (*first.inputs, *second.inputs)}
    sides = [
        {name: value for name, value in without_places(task.parameters).items() if name not in left_out}
        for task in (first, second)
    ]
    for change in value_changes(*sides):
        yield Cause(kind="parameter", name=change.name, text=f"argument {_told(change)}")


def _code(
    first_run: RunRecord, second_run: RunRecord, first: TaskRecord, second: TaskRecord
) -> Iterator[Cause]:
    if first.code and second.code:
        for change in value_changes(first.code, second.code):
            yield _code_cause(change)
    elif first_run.sources and second_run.sources:
        for change in value_changes(first_run.sources, second_run.sources):
            yield _code_cause(change)
    elif first_run.git_sha != second_run.git_sha:
        text = (
            f"commit {_short(first_run.git_sha)} became {_short(second_run.git_sha)}; no files are recorded"
        )
        yield Cause(kind="code", name="", text=text)
    elif first_run.git_dirty or second_run.git_dirty:
        text = f"files differed from commit {_short(first_run.git_sha)}; which ones is not recorded"
        yield Cause(kind="code", name="", text=text)
    for change in value_changes(first_run.images, second_run.images):
        yield Cause(kind="image", name=change.name, text=f"image {_told(change)}")


def _code_cause(change: ValueChange) -> Cause:
    if "/" in change.name or change.name.endswith(".py"):
        return Cause(kind="code", name=change.name, text=f"file {change.name} {change.kind}")
    if "image" in change.name:
        return Cause(kind="image", name=change.name, text=_told(change))
    kind = "machine" if change.name == "python" else "library"
    return Cause.model_validate({"kind": kind, "name": change.name, "text": f"library {_told(change)}"})


def _inputs(first: TaskRecord, second: TaskRecord) -> Iterator[Cause]:
    sides = [
        {name: " ".join(artifact.sha256 for artifact in artifacts) for name, artifacts in task.inputs.items()}
        for task in (first, second)
    ]
    for change in value_changes(*sides):
        yield Cause(kind="input", name=change.name, text=f"input {change.name} {change.kind}")


def _judges(
    evidence: Evidence, refs: tuple[TableRef | None, TableRef | None], folder: Path
) -> dict[str, Any]:
    """The versions of each judge that a stage's tables name."""
    clips, ledger = refs
    found: dict[str, set[str]] = {}
    if ledger is not None:
        table = pq.read_table(evidence.store.local_path(ledger, folder), columns=["judge", "judge_version"])
        _add(found, table["judge"], table["judge_version"])
    if clips is not None:
        table = pq.read_table(evidence.store.local_path(clips, folder), columns=["description", "annotation"])
        for column in table.columns:
            _add(found, pc.struct_field(column, "judge"), pc.struct_field(column, "judge_version"))
    return {judge: ", ".join(sorted(versions)) or "no version" for judge, versions in found.items()}


def _add(found: dict[str, set[str]], judges: pa.ChunkedArray, versions: pa.ChunkedArray) -> None:
    pairs = pa.table({"judge": judges, "version": versions}).group_by(["judge", "version"]).aggregate([])
    for row in pairs.to_pylist():
        if row["judge"]:
            found.setdefault(row["judge"], set()).add(row["version"] or "")


def _source_text(source: SourceChange) -> str:
    if source.kind == "changed":
        digests = f"sha256 {_short(source.first_sha256)} became {_short(source.second_sha256)}"
        return f"source {source.name}: its bytes changed ({digests})"
    return f"source {source.name} {source.kind}"


def _told(change: ValueChange) -> str:
    if change.kind == "added":
        return f"{change.name} added: {_value(change.second)}"
    if change.kind == "removed":
        return f"{change.name} removed: {_value(change.first)}"
    return f"{change.name} changed: {_value(change.first)} became {_value(change.second)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _short(digest: str) -> str:
    return digest[:12] or "(none)"
