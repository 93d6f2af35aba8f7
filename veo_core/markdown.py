"""Markdown whose words come from data: shown as text, never as markup."""

import html
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a heading."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(text(cell) for cell in line) + " |" for line in lines)


def text(value: object) -> str:
    """One line without markup."""
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")
