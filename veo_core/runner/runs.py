"""Reading the runs of a folder: their records and logs."""

from pathlib import Path

from veo_core.errors import UsageError
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.runner.journal import RECORD, is_alive
from veo_core.runner.logs import tail

LATEST = "latest"


def list_runs(runs_dir: Path) -> list[RunRecord]:
    """The runs of a folder, oldest first; what is no run is passed over."""
    if not runs_dir.is_dir():
        return []
    folders = sorted(folder for folder in runs_dir.iterdir() if (folder / RECORD).is_file())
    return [_read(folder) for folder in folders]


def load_run(runs_dir: Path, run: str = LATEST) -> RunRecord:
    """One run, by its id, by the start of its id, or "latest".

    Raises:
        UsageError: there is no such run, or the start fits several.
    """
    return _read(run_folder(runs_dir, run))


def run_folder(runs_dir: Path, run: str = LATEST) -> Path:
    """The folder of one run, named as in `load_run`.

    Raises:
        UsageError: there is no such run, or the start fits several.
    """
    names = sorted(path.parent.name for path in runs_dir.glob(f"*/{RECORD}"))
    if not names:
        raise UsageError(f"{runs_dir}: there are no runs")
    if run == LATEST:
        return runs_dir / names[-1]
    found = [name for name in names if name == run] or [name for name in names if name.startswith(run)]
    if not found:
        raise UsageError(f"{runs_dir}: there is no run {run!r}; the latest is {names[-1]}")
    if len(found) > 1:
        raise UsageError(f"{runs_dir}: {run!r} fits {len(found)} runs: {', '.join(found[:4])}")
    return runs_dir / found[0]


def find_task(record: RunRecord, task: str) -> TaskRecord:
    """A task of a run, by its name or by the last parts of its name.

    Raises:
        UsageError: there is no such task, or the parts fit several.
    """
    found = [t for t in record.tasks if t.name == task] or [
        t for t in record.tasks if t.name.endswith(f"/{task}")
    ]
    if not found:
        names = ", ".join(t.name for t in record.tasks)
        raise UsageError(f"run {record.run_id} has no task {task!r}; it has: {names}")
    if len(found) > 1:
        raise UsageError(f"{task!r} fits several tasks: {', '.join(t.name for t in found[:8])}")
    return found[0]


def read_log(runs_dir: Path, run: str, task: str, *, lines: int | None = None) -> str:
    """What a task wrote, the whole of it or its last non-empty `lines`; "" where it did not start.

    Raises:
        UsageError: there is no such run or task.
    """
    folder = run_folder(runs_dir, run)
    record = find_task(_read(folder), task)
    path = folder / record.log
    if not record.log or not path.is_file():
        return ""
    if lines is not None:
        return "\n".join(tail(path, lines))
    return path.read_text(encoding="utf-8", errors="replace")


def exit_code(record: RunRecord) -> int:
    """What the command line exits with: 0 succeeded, 1 failed, 130 cancelled."""
    return {"SUCCEEDED": 0, "CANCELLED": 130}.get(record.state, 1)


def _read(folder: Path) -> RunRecord:
    alive = is_alive(folder)
    try:
        record = RunRecord.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / RECORD}: no run record: {str(error).splitlines()[0]}") from None
    if record.state != "RUNNING" or alive or record.target != "embedded":
        return record
    tasks = [
        task.model_copy(update={"state": "CANCELLED", "reason": "the runner was killed"})
        if task.state in ("RUNNING", "PENDING")
        else task
        for task in record.tasks
    ]
    return record.model_copy(update={"state": "INTERRUPTED", "tasks": tasks})
