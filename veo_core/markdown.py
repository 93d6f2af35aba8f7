"""Markdown whose words come from data: shown as text, never as markup."""

import html
import re
from collections.abc import Iterable, Sequence

from veo_core.html import plain

# What opens code, emphasis, links, pictures, struck words or a cell; underscores within words do not.
_MARKUP = re.compile(r"[\\`*\[\]~|]|(?<!\w)_|_(?!\w)")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a heading."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(text(cell) for cell in line) + " |" for line in lines)


def text(value: object) -> str:
    """One line without markup; control characters, and those that reverse text, are shown as U+FFFD."""
    return html.escape(_MARKUP.sub(r"\\\g<0>", " ".join(plain(value).split())), quote=False)
