"""Markdown whose words come from data: shown as text, never as markup."""

import html
import re
from collections.abc import Iterable, Sequence

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a heading."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(text(cell) for cell in line) + " |" for line in lines)


def text(value: object) -> str:
    """One line without markup; control characters, and those that reverse text, are shown as U+FFFD."""
    plain = _CONTROL.sub("\ufffd", " ".join(str(value).split()))
    return html.escape(plain, quote=False).replace("|", "\\|").replace("[", "&#91;")
