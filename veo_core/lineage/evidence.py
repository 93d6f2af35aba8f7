"""What a run's folder and store tell about it, whatever state it was left in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.provenance.copies import as_it_leaves
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.files import FileRef, TableRef
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.storage import Store

RecordT = TypeVar("RecordT", bound=Record)

RECORD = "run.json"
_LOG_TAIL_BYTES = 20_000


@dataclass(frozen=True)
class StageEvidence:
    """A task and the manifest that it published, if it did.

    Attributes:
        task: the task's record.
        index: its place in the record.
        manifest: its output artifact `manifest`.
        problem: why there is no manifest although the task says that it wrote one.
    """

    task: TaskRecord
    index: int
    manifest: Manifest | None
    problem: str = ""


@dataclass
class Evidence:
    """Everything a report is written from; what cannot be read is told in `notes`.

    Attributes:
        folder: the run's folder.
        store: where the manifests' objects are.
        run: the run's record, None where it is missing or damaged.
        stages: one entry a task, in the record's order.
        notes: what is not known, and why.
    """

    folder: Path
    store: Store
    run: RunRecord | None
    stages: list[StageEvidence]
    notes: list[str] = field(default_factory=list)

    def with_table(self, name: str) -> Iterator[tuple[StageEvidence, Manifest]]:
        """Stages whose manifest has the table `name`."""
        for stage in self.stages:
            if stage.manifest is not None and name in stage.manifest.tables:
                yield stage, stage.manifest

    def with_file(self, name: str) -> Iterator[tuple[StageEvidence, Manifest]]:
        """Stages whose manifest has the file `name`."""
        for stage in self.stages:
            if stage.manifest is not None and name in stage.manifest.files:
                yield stage, stage.manifest

    def last(self, stage: str) -> Manifest | None:
        """The manifest of the last task of a stage."""
        found = [s.manifest for s in self.stages if s.manifest is not None and s.manifest.stage == stage]
        return found[-1] if found else None

    def table(self, ref: TableRef, record: type[RecordT]) -> list[RecordT]:
        """The rows of a table, or none with a note where it cannot be read."""
        try:
            return self.store.get_table(ref, record)
        except (UsageError, ValidationError, pa.ArrowException, OSError, ValueError) as error:
            self.notes.append(f"table {ref.path} cannot be shown: {_first_line(error)}")
            return []

    def bytes(self, ref: FileRef) -> bytes | None:
        """The bytes of an object, or None with a note where it cannot be read."""
        try:
            return self.store.get_bytes(ref)
        except (UsageError, OSError) as error:
            self.notes.append(f"file {ref.path} cannot be shown: {_first_line(error)}")
            return None

    def as_it_leaves(self, clip: FileRef) -> FileRef:
        """The signed file of a generated clip, or the clip itself where it was not signed."""
        try:
            return as_it_leaves(self.store, clip)
        except (UsageError, ValidationError, OSError) as error:
            self.notes.append(f"signature of {clip.path} cannot be shown: {_first_line(error)}")
            return clip

    def record(self, ref: FileRef, record: type[RecordT]) -> RecordT | None:
        """A record stored as JSON, or None with a note where it cannot be read."""
        data = self.bytes(ref)
        if data is None:
            return None
        try:
            return record.model_validate_json(data)
        except ValidationError as error:
            self.notes.append(f"file {ref.path} cannot be shown: {_first_line(error)}")
            return None

    def log_tail(self, task: TaskRecord) -> str:
        """The end of a task's log; empty where there is none."""
        path = _inside(self.folder, task.log) if task.log else None
        if path is None or not path.is_file():
            return ""
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")


def gather(folder: Path, store: Store) -> Evidence:
    """Read a run's record and its tasks' manifests.

    Raises:
        UsageError: the folder is missing, or holds no run.
    """
    path = folder / RECORD
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such run folder; `veo runs` lists the runs")
    if not path.is_file():
        raise UsageError(f"{folder}: holds no {RECORD}, so it is no run's folder; `veo runs` lists the runs")
    try:
        run = RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        note = f"{RECORD} is damaged, so the run's tasks are not known: {_first_line(error)}"
        return Evidence(folder, store, None, [], [note])
    stages = [_stage(folder, task, index) for index, task in enumerate(run.tasks)]
    notes = [f"{stage.task.name}: {stage.problem}" for stage in stages if stage.problem]
    return Evidence(folder, store, run, stages, notes)


def _stage(folder: Path, task: TaskRecord, index: int) -> StageEvidence:
    artifacts = task.outputs.get("manifest", [])
    if not artifacts or task.state not in ("SUCCEEDED", "CACHED"):
        return StageEvidence(task, index, None)
    artifact = artifacts[0]
    try:
        data = local_path(folder, artifact.uri).read_bytes()
        if artifact.sha256 and sha256_bytes(data) != artifact.sha256:
            return StageEvidence(task, index, None, "its manifest was altered: the sha256 does not match")
        return StageEvidence(task, index, Manifest.model_validate_json(data))
    except (UsageError, OSError, ValidationError) as error:
        return StageEvidence(task, index, None, f"its manifest cannot be read: {_first_line(error)}")


def local_path(folder: Path, uri: str) -> Path:
    """The local file of an artifact, also where the run's folder was moved since.

    Raises:
        UsageError: the artifact is not in the run's folder.
    """
    path = Path(unquote(urlsplit(uri).path) if uri.startswith("file://") else uri)
    if path.is_absolute() and not path.is_relative_to(folder) and folder.name in path.parts:
        last = len(path.parts) - path.parts[::-1].index(folder.name)
        path = Path(*path.parts[last:])
    inside = _inside(folder, str(path))
    if inside is None:
        raise UsageError(f"{uri} is not in the run's folder")
    return inside


def _inside(folder: Path, name: str) -> Path | None:
    """`name` below `folder`, or None where it leads out of it."""
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) else None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
