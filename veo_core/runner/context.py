"""What all tasks of a run share, and how a task ends."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from veo_core.runner.artifacts import Artifact
from veo_core.runner.cache import CacheStore
from veo_core.runner.executor import Executor
from veo_core.runner.journal import Journal
from veo_core.runner.spec import Pipeline, Task


@dataclass(frozen=True)
class RunContext:
    """A run.

    Attributes:
        folder: absolute path of the run's folder.
        values: what the run-specific placeholders stand for, those of a single task left out.
        executor: where commands run.
        env: variables that every task gets besides those of its executor.
        cwd: folder in which commands start.
        workers: slots for running tasks. accelerators: slots for tasks that ask for an accelerator.
        timeout: seconds that a task may take, or None.
        reuse: whether cached outputs are taken.
    """

    pipeline: Pipeline
    run_id: str
    folder: Path
    values: Mapping[str, str]
    executor: Executor
    env: Mapping[str, str]
    cwd: str
    workers: asyncio.Semaphore
    accelerators: asyncio.Semaphore
    timeout: float | None
    cache: CacheStore
    reuse: bool
    journal: Journal

    def task_values(self, task: Task, path: str) -> dict[str, str]:
        """What the run-specific placeholders of one task stand for."""
        job = uuid.UUID(self.values["pipeline_job_uuid"])
        return {
            **self.values,
            "pipeline_task_name": task.display_name,
            "pipeline_task_uuid": str(uuid.uuid5(job, path)),
        }

    def task_folder(self, path: str) -> Path:
        return self.folder / "tasks" / path


@dataclass(frozen=True)
class Values:
    """Parameters and artifacts by name: the inputs of a component, or its outputs.

    A name without a value is absent. An artifact that is no list is a tuple of one.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a task or group ended; `message` says why where it did not succeed."""

    state: Literal["SUCCEEDED", "FAILED", "SKIPPED"]
    outputs: Values = Values()
    message: str = ""
