"""What can still be told of a run whose record is damaged."""

import json
from pathlib import Path
from typing import Any

from veo_core.explorer.documents import RunSummary
from veo_core.explorer.library import Run
from veo_core.lineage.evidence import RECORD

_STATE = "cannot be read: its record is damaged"
_LOGS = 40


def damaged_summary(run: Run) -> RunSummary:
    """The run by its folder, with those facts of its record that are what they should be."""
    raw = damaged_record(run)
    git_sha, pipeline = raw.get("git_sha"), raw.get("pipeline")
    return RunSummary(
        id=run.id,
        name=run.folder.name,
        folder=run.label,
        state="DAMAGED",
        state_words=_STATE,
        pipeline=pipeline if isinstance(pipeline, str) else "",
        created=_moment(raw.get("created")),
        finished=_moment(raw.get("finished")),
        git_sha=git_sha if isinstance(git_sha, str) else "",
        notes=[*run.evidence.notes, *_told_by_files(run.folder)],
    )


def damaged_record(run: Run) -> dict[str, Any]:
    """The record as JSON, whatever its fields are; empty where it is none."""
    try:
        found = json.loads((run.folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _told_by_files(folder: Path) -> list[str]:
    """Which tasks left a log."""
    logs = [*folder.glob("tasks/**/log.txt"), *folder.glob("logs/*")]
    names = [str(path.relative_to(folder)) for path in sorted(logs) if path.is_file()]
    if not names:
        return ["no task has left a log"]
    more = f" and {len(names) - _LOGS} more" if len(names) > _LOGS else ""
    return [f"tasks have left logs in its folder: {', '.join(names[:_LOGS])}{more}"]


def _moment(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
