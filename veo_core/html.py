"""HTML that is escaped by construction.

Whatever is not `Html` already is text: a caption, a file name or a log line can never become markup.
"""

import base64
import html
import re
from collections.abc import Iterable
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Control characters, and those that reverse the direction of text around them.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_VOID = frozenset({"img", "meta", "input", "br", "wbr", "rect", "path", "circle", "line", "polyline", "use"})


class Html(str):
    """A piece of markup that is safe to put into a page as it is."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def plain(value: object) -> str:
    """`value` without terminal colours; control characters are shown as U+FFFD."""
    return _CONTROL.sub("\ufffd", _ANSI.sub("", str(value)).replace("\r", ""))


def text(value: object) -> Html:
    """`value` as escaped text, `plain`."""
    return Html(html.escape(plain(value), quote=True))


def join(*children: Child) -> Html:
    """Children one after the other: `Html` as it is, everything else as text, None as nothing."""
    return Html("".join(_pieces(children)))


def element(name: str, *children: Child, **attributes: Any) -> Html:
    """An element.

    Attribute names lose a trailing underscore (`class_`), and inner ones become hyphens. True writes a bare
    attribute; None and False write none.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def data_uri(data: bytes, kind: str) -> str:
    """`data` as a URI that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{value if isinstance(value, Html) else text(value)}"'


def _pieces(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str | int | float):
            yield text(child)
        else:
            yield from _pieces(child)
