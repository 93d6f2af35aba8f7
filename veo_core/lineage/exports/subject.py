"""What exports describe: the dataset that a run packaged, and the model that it registered."""

from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord
from veo_core.registry.records import ModelEntry

RecordT = TypeVar("RecordT", bound=Record)


class MissingError(Exception):
    """A run lacks what an export describes; the message says what, and why."""


def record_of(evidence: Evidence) -> RunRecord:
    """The run's record.

    Raises:
        UsageError: it is damaged.
    """
    if evidence.run is None:
        raise UsageError(f"{evidence.folder}: nothing can be exported: {evidence.notes[0]}")
    return evidence.run


def dataset_of(evidence: Evidence) -> tuple[StageEvidence, Manifest]:
    """The task that packaged the run's dataset, and the dataset's manifest.

    Raises:
        MissingError: there is none.
    """
    for stage in reversed(evidence.stages):
        manifest = stage.manifest
        if manifest is not None and {"clips", "pairs", "shards"} <= manifest.tables.keys():
            return stage, manifest
    raise MissingError(f"the run has no dataset: {_why(evidence, 'package')}")


def model_of(evidence: Evidence) -> ModelEntry:
    """The registry entry that the run made.

    Raises:
        MissingError: there is none, or it cannot be read.
    """
    for stage in reversed(evidence.stages):
        if stage.manifest is not None and "entry" in stage.manifest.files:
            return read_record(evidence, stage.manifest.files["entry"], ModelEntry)
    raise MissingError(f"the run registered no model: {_why(evidence, 'register')}")


def read_record(evidence: Evidence, ref: FileRef, record: type[RecordT]) -> RecordT:
    """A record stored as JSON.

    Raises:
        MissingError: it is missing or altered.
    """
    try:
        return record.model_validate_json(evidence.store.get_bytes(ref))
    except (UsageError, ValidationError) as error:
        raise MissingError(_first_line(error)) from None


def moment(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _why(evidence: Evidence, component: str) -> str:
    """What the record says of the task that would have made what is missing."""
    stages = [s for s in evidence.stages if component in (s.task.component, s.task.name.rsplit("/", 1)[-1])]
    if not stages:
        return f"no task {component!r} is on record"
    task = stages[-1].task
    reason = stages[-1].problem or task.reason
    return f"task {task.name} is {task.state}" + (f": {reason}" if reason else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
