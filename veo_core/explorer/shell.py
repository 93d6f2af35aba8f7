"""The application's HTML: the page of the server, and the self-contained file around its documents."""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_HEAD = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{policy}'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n<title>veo</title>\n'
    '<link rel="icon" href="data:,">\n{style}\n</head>\n'
)
_BODY = '<body>\n<div id="app"></div>\n{data}{script}\n</body>\n</html>\n'


def page() -> str:
    """The page that loads script, style and documents from its own origin."""
    head = _HEAD.format(policy="", style='<link rel="stylesheet" href="/static/app.css">')
    return head + _BODY.format(data="", script='<script src="/static/app.js"></script>')


def single_file(data: Mapping[str, Any]) -> str:
    """A page with everything in it; its policy forbids every request, and every script but its own."""
    script, style = (
        (files(__package__) / "static" / name).read_text(encoding="utf-8") for name in ("app.js", "app.css")
    )
    policy = (
        f"default-src 'none'; img-src data:; media-src data: blob:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    embedded = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    embedded = embedded.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    head = _HEAD.format(
        policy=f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
        style=f"<style>{style}</style>",
    )
    return head + _BODY.format(
        data=f'<script type="application/json" id="veo-data">{embedded}</script>\n',
        script=f"<script>{script}</script>",
    )


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
