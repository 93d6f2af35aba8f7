"""The models that were registered, with the scores that later candidates are held against.

An append-only log in the store: line k of a name is the mark `evaluated/NAME/k`.
"""

from itertools import count

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.storage import Store


class Baseline(Record):
    """A registered model and the scores that it was registered with."""

    model: str = Field(description="NAME@VERSION")
    generated: str = Field(description="digest of the manifest of its generated clips")
    scores: TableRef = Field(description="the table of its clips' scores")


def remember(store: Store, name: str, baseline: Baseline) -> None:
    """Add a registered model to the log, unless it is there."""
    lines = _lines(store, name)
    if baseline not in lines:
        store.set_mark(_mark(name, len(lines) + 1), baseline.to_bytes())


def last_registered(store: Store, name: str, *, generated: str) -> Baseline | None:
    """The model of a name that was registered last, other than the one that made the clips `generated`."""
    others = [line for line in _lines(store, name) if line.generated != generated]
    return others[-1] if others else None


def _lines(store: Store, name: str) -> list[Baseline]:
    lines: list[Baseline] = []
    for number in count(1):
        data = store.get_mark(_mark(name, number))
        if data is None:
            return lines
        lines.append(Baseline.model_validate_json(data))
    raise AssertionError("count() does not end")


def _mark(name: str, number: int) -> str:
    return f"evaluated/{name}/{number:08d}"
