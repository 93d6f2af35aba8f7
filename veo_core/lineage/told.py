"""What every answer of `veo why` begins with, and the account of one task of a run."""

from collections.abc import Iterator

from pydantic import Field

from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.base import Record
from veo_core.records.run import RunRecord, RunState, TaskRecord, TaskState

_UNFINISHED = {
    "RUNNING": ("the run has not ended: what its later stages make of it is not known yet",),
    "INTERRUPTED": ("the run was interrupted, its runner was killed: what had not ended is not known",),
}


class Told(Record):
    """Which run tells it, and what cannot be told."""

    run: str = Field(description="empty where no run that is here tells it")
    state: RunState | None = Field(default=None, description="of the run; None where its record is damaged")
    later: list[str] = Field(default_factory=list, description="later runs that know nothing of it")
    unknown: list[str] = Field(default_factory=list, description="what cannot be told, and why")


class Given(Record):
    """An artifact that a task read."""

    role: str = Field(description="the task's name of the input")
    sha256: str
    task: str = Field(default="", description="task of the same run that gave it; empty where none did")


class Made(Record):
    """A task of a run, with what it read and what it published."""

    run: str
    task: str
    state: TaskState
    reason: str = ""
    cached_from: str = Field(default="", description="id of the run that made it, where this one did not")
    attempts: int
    exit_code: int | None = None
    started: float | None = Field(default=None, description="seconds since the epoch")
    finished: float | None = None
    image: str = Field(default="", description="empty where it ran without one")
    manifest: str = Field(default="", description="sha256 of the manifest that it published, if it did")
    given: list[Given] = Field(default_factory=list)


def account(evidence: Evidence, stage: StageEvidence) -> Made:
    """A task as its run's record has it."""
    task = stage.task
    manifests = task.outputs.get("manifest", [])
    return Made(
        run=evidence.folder.name,
        task=task.name,
        state=task.state,
        reason=task.reason,
        cached_from=task.cached_from,
        attempts=task.attempts,
        exit_code=task.exit_code,
        started=task.started,
        finished=task.finished,
        image=_image(evidence.run, task),
        manifest=manifests[0].sha256 if manifests else "",
        given=list(_given(evidence, task)),
    )


def _given(evidence: Evidence, task: TaskRecord) -> Iterator[Given]:
    makers = {
        artifact.sha256: stage.task.name
        for stage in evidence.stages
        for artifacts in stage.task.outputs.values()
        for artifact in artifacts
    }
    for role, artifacts in task.inputs.items():
        for artifact in artifacts:
            yield Given(role=role, sha256=artifact.sha256, task=makers.get(artifact.sha256, ""))


def _image(run: RunRecord | None, task: TaskRecord) -> str:
    """The image of a task: that of its own record, or the only one of the run."""
    images = set(run.images.values()) if run is not None else set()
    return task.code.get("its image", images.pop() if len(images) == 1 else "")


def not_known(evidence: Evidence) -> list[str]:
    """What a run does not tell: its damages, and the stages that published nothing, each with the reason."""
    silent = [
        f"{stage.task.name}: {stage.task.state.lower()} {stage.task.reason}".strip()
        for stage in evidence.stages
        if stage.manifest is None and not stage.problem
    ]
    run = evidence.run
    of_run = [] if run is None else [*_UNFINISHED.get(run.state, ()), *run.unknown]
    return [*of_run, *evidence.notes, *silent]
