"""The clips of a dataset as exports count them: read by column, since they ask for little of a record."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from veo_core.lineage.evidence import Evidence
from veo_core.records.files import TableRef

_COLUMNS = {
    "source": (
        "source_id",
        "origin",
        "source_url",
        "author",
        "licence_id",
        "licence_url",
        "retrieved_at",
        "ml_training",
        "file.bytes",
    ),
    "facts": ("seconds", "audio_seconds"),
    "description": ("judge", "judge_version"),
    "annotation": ("caption", "judge", "judge_version"),
}


def counted_clips(evidence: Evidence, clips: TableRef) -> Iterator[Any]:
    """Clips (`veo_core.records.clip.Clip`) with those fields alone that exports count.

    Raises:
        UsageError: the table is missing or was altered.
    """
    columns = [f"{part}.{name}" for part, names in _COLUMNS.items() for name in names]
    for row in evidence.store.stream_columns(clips, ["split", *columns]):
        yield _fields(row)


def _fields(value: Any) -> Any:
    """A row's structures with their fields as attributes."""
    if not isinstance(value, dict):
        return value
    return SimpleNamespace(**{name: _fields(inner) for name, inner in value.items()})
