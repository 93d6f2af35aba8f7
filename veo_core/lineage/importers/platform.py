"""A run as a platform tells it, and the record assembled from it and from what its stages published."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.lineage.importers.artifacts import ArtifactFolder
from veo_core.lineage.importers.spec import Output, Step, arguments_of, checked_name, steps_of
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.records.run import ArtifactRecord, RunRecord, RunState, Target, TaskRecord, TaskState

RECORD = "run.json"
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PlatformArtifact:
    """An artifact as the platform names it."""

    uri: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlatformTask:
    """A task as the platform tells it; what it does not tell is None or empty.

    Attributes:
        name: that of the task in the pipeline.
        reason: the platform's own words for its state.
        log: address of what it wrote.
        started, finished: seconds since the epoch.
    """

    name: str
    state: TaskState
    reason: str = ""
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    log: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    output_parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, list[PlatformArtifact]] = field(default_factory=dict)
    outputs: dict[str, list[PlatformArtifact]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlatformRun:
    """A run as the platform tells it.

    Attributes:
        id: the platform's own id.
        address: of the page that shows it.
        spec: the compiled pipeline.
        arguments: parameters that it was started with.
        root: below which its artifacts are.
        labels: what the submitter wrote of the code.
        tasks: in the platform's order.
        unknown: what the platform does not tell of any run.
    """

    target: Target
    id: str
    address: str
    state: RunState
    created: float
    finished: float | None
    spec: Mapping[str, Any]
    arguments: Mapping[str, Any]
    root: str
    labels: Mapping[str, str]
    tasks: list[PlatformTask]
    unknown: list[str]


def write_run(run: PlatformRun, runs: Path, artifacts: ArtifactFolder) -> Path:
    """Write a run's record, its pipeline and copies of its artifacts; the run's folder.

    A run that is imported again, such as one that had not ended, takes the place of what was imported before.

    Raises:
        UsageError: its pipeline is not understood, or the folder cannot be written.
    """
    moment = datetime.fromtimestamp(run.created, UTC)
    folder = runs / f"{moment:%Y%m%d-%H%M%S}-{hashlib.sha256(run.id.encode()).hexdigest()[:6]}"
    record = _Assembly(run, folder, artifacts).record()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pipeline.yaml").write_bytes(canonical_json(run.spec))  # JSON is YAML
        part = folder / f".{RECORD}.part"
        part.write_text(record.model_dump_json(indent=1), encoding="utf-8")
        part.replace(folder / RECORD)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None
    return folder


class _Assembly:
    def __init__(self, run: PlatformRun, folder: Path, artifacts: ArtifactFolder) -> None:
        self._run = run
        self._folder = folder
        self._artifacts = artifacts
        self._arguments = arguments_of(run.spec, run.arguments)
        self._steps = steps_of(run.spec, self._arguments)
        self._unknown = list(run.unknown)
        self._published: dict[Output, list[ArtifactRecord]] = {}

    def record(self) -> RunRecord:
        run, labels = self._run, self._run.labels
        tasks = list(self._tasks())
        images = {step.image.rpartition("/")[2].partition("@")[0]: step.image for step in self._steps}
        sha = labels.get("git-sha", "")
        if not sha:
            self._unknown.append("the commit of its code: no label of the run says it")
        return RunRecord(
            run_id=self._folder.name,
            target=run.target,
            pipeline=str(run.spec.get("pipelineInfo", {}).get("name", "")),
            state=run.state,
            created=run.created,
            finished=run.finished,
            ir_digest=sha256_bytes(canonical_json(run.spec)),
            parameters=self._arguments,
            git_sha=sha,
            git_dirty=labels.get("git-dirty", "").lower() == "true",
            launch={"platform_run": run.id, "address": run.address},
            images={name: image for name, image in sorted(images.items()) if name},
            tasks=tasks,
            unknown=self._unknown,
        )

    def _tasks(self) -> Iterator[TaskRecord]:
        """The records of the steps: of those of a loop one for each time, of a skipped group one for all."""
        told: dict[str, list[PlatformTask]] = {}
        for task in self._run.tasks:
            told.setdefault(task.name, []).append(task)
        skipped: set[str] = set()
        silent: list[str] = []
        for step in self._steps:
            group = self._skipped_group(step, told)
            if group is not None:
                if group not in skipped:
                    skipped.add(group)
                    yield self._group(group, step, told[group.rpartition("/")[2]][0])
                continue
            found = told.get(step.name, [])
            if not found and self._run.state not in _ENDED:
                yield self._task(step, step.path, PlatformTask(step.name, "PENDING", "not listed yet"))
            elif not found and not step.looped:
                silent.append(step.path)
            for number, task in enumerate(found):
                place = f"{step.groups[-1]}/{number}/{step.name}" if step.looped else step.path
                yield self._task(step, place, task)
        if silent:
            self._unknown.append(f"what became of {', '.join(silent)}: the platform lists no such task")
        if any(len(told.get(step.name, [])) > 1 for step in self._steps if step.looped):
            self._unknown.append(
                "which turn of a loop a task is: they are numbered as the platform lists them"
            )

    def _skipped_group(self, step: Step, told: Mapping[str, list[PlatformTask]]) -> str | None:
        for group in step.groups:
            tasks = told.get(group.rpartition("/")[2], [])
            if tasks and all(task.state == "SKIPPED" for task in tasks):
                return group
        return None

    def _group(self, path: str, step: Step, task: PlatformTask) -> TaskRecord:
        return TaskRecord(
            name=path,
            component=path.rpartition("/")[2],
            state="SKIPPED",
            depends_on=step.depends_on,
            reason=task.reason,
        )

    def _task(self, step: Step, path: str, task: PlatformTask) -> TaskRecord:
        outputs = {
            name: [
                self._copied(path, checked_name(name) + (f"-{number}" if number else ""), artifact)
                for number, artifact in enumerate(artifacts)
            ]
            for name, artifacts in task.outputs.items()
        }
        for name, artifacts in outputs.items():
            self._published[Output(step.path, name)] = artifacts
        manifests = outputs.get("manifest", [])
        returned = dict(task.output_parameters)
        if manifests and manifests[0].sha256:
            returned.setdefault("digest", manifests[0].sha256)
        if task.state in ("SUCCEEDED", "CACHED") and not manifests and "manifest" in step.outputs:
            self._unknown.append(f"{path}: its manifest, for the platform does not say where it is")
        return TaskRecord(
            name=path,
            component=step.component,
            state=task.state,
            depends_on=step.depends_on,
            started=task.started,
            finished=task.finished,
            attempts=task.attempts,
            reason=task.reason,
            command=step.command,
            code={"its image": step.image} if step.image else {},
            parameters=self._parameters(step) | task.parameters,
            inputs=self._inputs(step, task),
            outputs=outputs,
            output_parameters=returned,
            log=task.log,
        )

    def _parameters(self, step: Step) -> dict[str, Any]:
        """What the pipeline binds to a step: values, and digests of what came before."""
        values = {}
        for name, value in step.parameters.items():
            if not isinstance(value, Output):
                values[name] = value
            elif value.key == "digest" and (made := self._published.get(Output(value.step, "manifest"))):
                values[name] = made[0].sha256
        return {name: value for name, value in values.items() if value != ""}

    def _inputs(self, step: Step, task: PlatformTask) -> dict[str, list[ArtifactRecord]]:
        """What the platform says that a task read, else what the pipeline binds to it."""
        known = {
            artifact.metadata.get("platform_uri"): artifact
            for artifacts in self._published.values()
            for artifact in artifacts
        }
        told = {
            name: [known.get(read.uri) or _unread(read) for read in artifacts]
            for name, artifacts in task.inputs.items()
        }
        bound = {
            name: self._published[output]
            for name, output in step.artifacts.items()
            if output in self._published
        }
        return bound | told

    def _copied(self, path: str, name: str, artifact: PlatformArtifact) -> ArtifactRecord:
        """An artifact with a copy in the run's folder; where it cannot be read, `unknown` says why."""
        stated = _unread(artifact)
        try:
            data = self._artifacts.read(artifact.uri)
        except UsageError as error:
            self._unknown.append(f"{path}: what {name} holds: {error}")
            return stated
        place = Path("tasks", path, "outputs", name)
        try:
            (self._folder / place).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / place).write_bytes(data)
        except OSError as error:
            raise UsageError(f"{self._folder / place}: cannot be written: {error.strerror}") from None
        return stated.model_copy(update={"uri": str(place), "sha256": stated.sha256 or sha256_bytes(data)})


def _unread(artifact: PlatformArtifact) -> ArtifactRecord:
    """An artifact as the platform names it, with the digest that its own metadata states."""
    stated = str(artifact.metadata.get("digest", ""))
    return ArtifactRecord(
        uri=artifact.uri,
        sha256=stated if _DIGEST.fullmatch(stated) else "",
        metadata={**artifact.metadata, "platform_uri": artifact.uri},
    )
