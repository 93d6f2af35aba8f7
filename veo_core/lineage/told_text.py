"""Lines of text that every answer of `veo why` is written in."""

import json
from collections.abc import Iterator

from veo_core.lineage.terminal import visible
from veo_core.lineage.told import Told

_LABEL = 14
_LISTED = 8


def line(label: str, text: str) -> str:
    """A labelled line; nothing in it is obeyed by a terminal."""
    return f"  {visible(label):{_LABEL}} {visible(text)}".rstrip()


def figure(value: object) -> str:
    """A measured value."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value)


def listed(names: list[str], limit: int = _LISTED) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def tail(told: Told) -> Iterator[str]:
    """What is not known, and which run told all this."""
    yield from (line("not known", text) for text in told.unknown)
    if told.run:
        state = told.state.lower() if told.state is not None else "its record is damaged"
        later = f"; later runs do not have it: {listed(told.later)}" if told.later else ""
        yield line("run", f"{told.run} ({state}){later}")
