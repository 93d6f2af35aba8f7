"""The run's record while it is made: each change of state is written to the run's folder at once."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from veo_core.records.run import RunRecord, TaskRecord

RECORD = "run.json"
LOCK = "lock"

Observer: TypeAlias = Callable[[RunRecord, TaskRecord | None], None]


class Journal:
    """The record of the run in `folder`.

    A lock on the folder tells readers that the runner lives; the system drops it when the runner dies.

    Args:
        observe: called after each change with the record and the task that changed, None for the run itself.
    """

    def __init__(self, folder: Path, run: RunRecord, observe: Observer) -> None:
        self.folder = folder
        self._run = run
        self._tasks: dict[str, TaskRecord] = {}
        self._observe = observe
        self._lock = (folder / LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._publish(None)

    @property
    def record(self) -> RunRecord:
        return self._run.model_copy(update={"tasks": list(self._tasks.values())})

    def task(self, name: str) -> TaskRecord:
        return self._tasks[name]

    def tasks_below(self, path: str) -> list[TaskRecord]:
        """The records of a task, or of everything in a group."""
        return [task for name, task in self._tasks.items() if name == path or name.startswith(f"{path}/")]

    def add(self, task: TaskRecord) -> None:
        """Record a task that has not started."""
        self._tasks[task.name] = task
        self._publish(task)

    def update(self, name: str, **changes: Any) -> None:
        """Change fields of a task's record."""
        self._tasks[name] = self._tasks[name].model_copy(update=changes)
        self._publish(self._tasks[name])

    def finish(self, **changes: Any) -> RunRecord:
        """Change fields of the run's record for the last time, and let go of the folder."""
        self._run = self._run.model_copy(update=changes)
        self._publish(None)
        self._lock.close()
        return self.record

    def _publish(self, task: TaskRecord | None) -> None:
        record = self.record
        path = self.folder / RECORD
        part = path.with_name(f".{RECORD}.part")
        part.write_text(record.model_dump_json(indent=1), encoding="utf-8")
        part.replace(path)
        self._observe(record, task)


def is_alive(folder: Path) -> bool:
    """Whether the runner that writes the record in `folder` still lives."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
