"""Showing a run as it goes: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from veo_core.records.run import RunRecord, TaskRecord
from veo_core.runner.logs import tail

_FAILURE_LINES = 20
_STYLES = {
    "PENDING": "dim",
    "RUNNING": "bold cyan",
    "SUCCEEDED": "green",
    "CACHED": "blue",
    "FAILED": "bold red",
    "SKIPPED": "dim",
    "CANCELLED": "yellow",
}


class Progress(Protocol):
    def __call__(self, record: RunRecord, task: TaskRecord | None) -> None: ...


@contextmanager
def shown(runs_dir: Path, console: Console | None = None) -> Iterator[Progress]:
    """An observer for `engine.run` that shows the run on standard error while the block lasts."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
    if not console.is_terminal:
        yield Lines(console)
        return
    table = LiveTable(runs_dir, console.height)
    with Live(console=console, get_renderable=table.render, refresh_per_second=4):
        yield table


class Lines:
    """A line for each task that starts, ends, or is skipped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, str] = {}

    def __call__(self, record: RunRecord, task: TaskRecord | None) -> None:
        if task is None:
            self._print(f"run {record.run_id} of {record.pipeline}: {record.state.lower()}")
        elif self._states.get(task.name) != task.state:
            self._states[task.name] = task.state
            if task.state != "PENDING":
                self._print(_line(task))

    def _print(self, text: str) -> None:
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"))


class LiveTable:
    """A table of tasks: states, times, and the last line of a running task's log."""

    def __init__(self, runs_dir: Path, height: int) -> None:
        self._runs_dir = runs_dir
        self._height = height
        self._record: RunRecord | None = None

    def __call__(self, record: RunRecord, task: TaskRecord | None) -> None:
        self._record = record

    def render(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        if self._record is None:
            return table
        for task in _fitting(self._record.tasks, self._height):
            style = _STYLES[task.state]
            state = Text(task.state.lower(), style)
            table.add_row(task.name, state, _seconds(task), Text(self._note(task), "dim"))
        return table

    def _note(self, task: TaskRecord) -> str:
        if task.state == "RUNNING" and task.log and self._record is not None:
            return next(iter(tail(self._runs_dir / self._record.run_id / task.log, 1)), "")
        return task.reason


def _fitting(tasks: list[TaskRecord], height: int) -> list[TaskRecord]:
    """All tasks where there is room for them, else those that people look for."""
    if len(tasks) < height:
        return tasks
    return [task for task in tasks if task.state in ("RUNNING", "FAILED")][: height - 1]


def failures(record: RunRecord, runs_dir: Path) -> str:
    """Each failed task with the last lines of its log, as text for people."""
    parts = []
    for task in record.tasks:
        if task.state == "FAILED":
            path = runs_dir / record.run_id / task.log
            last = tail(path, _FAILURE_LINES) if task.log else []
            place = [f"  the whole log: {path}"] if last else []
            shown_lines = [f"  | {line}" for line in last]
            parts.append("\n".join([f"{task.name} failed: {task.reason}", *shown_lines, *place]))
    return "\n\n".join(parts)


def _line(task: TaskRecord) -> str:
    match task.state:
        case "RUNNING":
            return f"{task.name}: started" + (f", attempt {task.attempts}" if task.attempts > 1 else "")
        case "SUCCEEDED":
            return f"{task.name}: done in {_seconds(task)}" + (f" ({task.reason})" if task.reason else "")
        case _:
            return f"{task.name}: {task.state.lower()}" + (f" ({task.reason})" if task.reason else "")


def _seconds(task: TaskRecord) -> str:
    if task.started is None:
        return ""
    return f"{(task.finished or time.time()) - task.started:.1f} s"
