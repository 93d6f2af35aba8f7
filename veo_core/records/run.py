"""The record of a pipeline run: what ran, on what, with which result."""

from typing import Any, Literal

from pydantic import Field

from veo_core.records.base import Record

Target = Literal["embedded", "kubeflow", "vertex"]
RunState = Literal["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "INTERRUPTED"]
TaskState = Literal["PENDING", "RUNNING", "SUCCEEDED", "CACHED", "FAILED", "SKIPPED", "CANCELLED"]


class ArtifactRecord(Record):
    """An artifact that a task read or wrote: where its bytes are, and their identity.

    `sha256` is that of a file's bytes; of a folder, that of the list of its files' paths and sha256;
    "" where the task wrote nothing.
    """

    uri: str
    sha256: str
    metadata: dict[str, Any] = Field(default_factory=dict)


class Attempt(Record):
    """One execution of a task's command. Times are seconds since the epoch."""

    started: float
    finished: float
    exit_code: int | None = None
    problem: str = Field(default="", description="why it ended where it was not of its own accord")
    peak_rss_bytes: int | None = None
    cpu_seconds: float | None = None


class TaskRecord(Record):
    """One task; `name` is its path in the DAG, such as "for-loop-1/0/describe".

    A group (nested pipeline, condition, loop) has no record of its own unless it is skipped whole or
    fails by itself; its path is the prefix of its tasks' names. `depends_on` holds names of tasks and
    paths of groups.
    """

    name: str
    component: str
    state: TaskState
    depends_on: list[str] = Field(default_factory=list)
    started: float | None = Field(default=None, description="seconds since the epoch")
    finished: float | None = Field(default=None, description="when its last command ended")
    attempts: int = 0
    exit_code: int | None = None
    tries: list[Attempt] = Field(default_factory=list, description="each attempt that came to an end")
    reason: str = Field(default="", description="why it was skipped, cancelled, failed, or run anew")
    cache_key: str = ""
    cached_from: str = Field(
        default="", description="id of the run that made the outputs, if the cache did not miss"
    )
    code: dict[str, str] = Field(
        default_factory=dict,
        description="what its command runs: sha256 by file, versions by library and of `python`, or an image",
    )
    env: dict[str, str] = Field(default_factory=dict, description="variables that the pipeline sets")
    command: list[str] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict, description="input parameters")
    inputs: dict[str, list[ArtifactRecord]] = Field(default_factory=dict)
    outputs: dict[str, list[ArtifactRecord]] = Field(default_factory=dict)
    output_parameters: dict[str, Any] = Field(default_factory=dict)
    log: str = Field(
        default="", description="log file, relative to the run's folder, or its address on the platform"
    )
    peak_rss_bytes: int | None = None


class Change(Record):
    """A later change of what a run published, such as a source that was forgotten."""

    when: str = Field(description="ISO 8601")
    why: str
    digests: dict[str, str] = Field(description="digests of the manifests before, and what they are now")


class RunRecord(Record):
    """A run of a compiled pipeline; written to `run.json` in the run's folder at each change of state.

    A run whose runner was killed stays RUNNING in its file; it is read as INTERRUPTED.
    """

    schema_version: int = 1
    run_id: str
    target: Target = "embedded"
    pipeline: str
    state: RunState
    created: float
    finished: float | None = None
    ir_digest: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    output_parameters: dict[str, Any] = Field(default_factory=dict, description="what the pipeline returned")
    git_sha: str = ""
    git_dirty: bool = False
    sources: dict[str, str] = Field(
        default_factory=dict,
        description="sha256 of each file of the installed product, by path below its folder",
    )
    launch: dict[str, str] = Field(
        default_factory=dict,
        description="what the command line decided besides parameters: judge, executor, item_executor",
    )
    python: str = ""
    platform: str = ""
    cpus: int = 0
    cpu: str = Field(default="", description="model of the CPU")
    memory_bytes: int = 0
    accelerators: list[str] = Field(default_factory=list, description="model and driver of each")
    images: dict[str, str] = Field(
        default_factory=dict, description="by pool, the image in which tasks ran and its digest"
    )
    packages: dict[str, str] = Field(default_factory=dict, description="versions of installed libraries")
    tasks: list[TaskRecord] = Field(default_factory=list)
    changes: list[Change] = Field(default_factory=list, description="made after the run had ended")
    unknown: list[str] = Field(
        default_factory=list, description="what the platform on which it ran does not tell"
    )
