"""One HTML file with tabs, for the sandbox in which platforms show a task's page.

Kubeflow Pipelines puts the file into `<iframe sandbox="allow-scripts">`: an opaque origin, without storage,
downloads, pop-ups and requests to its own server. It reads the file whole, and shows one of a task.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files

from veo_core.html import Child, Html, element
from veo_core.publish import View

LIMIT = 4_000_000
"""Most bytes of a page: what a browser takes in at once from a platform's artifact server."""


def page(title: str, subtitle: str, tabs: Mapping[str, Html | None]) -> View:
    """A page with a tab for each section that is not None, the first one shown.

    Without scripts all sections stand below each other.

    Raises:
        ValueError: the page is larger than LIMIT.
    """
    present = {name: section for name, section in tabs.items() if section is not None}
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", title),
        element("style", style),
    )
    body = element(
        "body",
        element("header", element("h1", title), element("p", subtitle, class_="hint")),
        element("div", role="tablist", aria_label="Sections", hidden=True),
        element(
            "main",
            [
                element("section", element("h2", name), section, id=f"tab-{index}")
                for index, (name, section) in enumerate(present.items())
            ],
        ),
        element("script", script),
    )
    content = f"<!doctype html>\n{element('html', head, body, lang='en')}\n".encode()
    if len(content) > LIMIT:
        raise ValueError(f"the page has {len(content)} bytes, more than {LIMIT}")
    return View(content)


def table(head: Sequence[str], rows: Sequence[Sequence[Child]]) -> Html:
    """A table whose first column names its rows."""
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", [element("th", name, scope="col") for name in head])),
            element("tbody", [_row(row) for row in rows]),
        ),
        class_="scroll",
        tabindex=0,
    )


def _row(cells: Sequence[Child]) -> Html:
    first, *rest = cells
    return element("tr", element("th", first, scope="row"), [element("td", cell) for cell in rest])


def percent(value: float | None) -> str:
    """A share as people read it; a dash where it is not known."""
    return "–" if value is None else f"{100 * value:.1f} %"


def checks(rows: Sequence[tuple[bool, str, str]]) -> Html:
    """A list of (whether it holds, name, reason)."""
    return element(
        "ul",
        [
            element(
                "li",
                element("span", "✓" if holds else "✕", class_="glyph", aria_hidden="true"),
                element("div", element("strong", name), " ", reason),
                class_="right" if holds else "wrong",
            )
            for holds, name, reason in rows
        ],
        class_="checks",
    )


def _asset(name: str) -> Html:
    """A file of this package, as it is."""
    return Html(files("veo_core.views").joinpath(name).read_text(encoding="utf-8"))


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
