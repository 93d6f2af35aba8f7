"""The local server: the application, documents, media and votes, for this machine's browser alone.

Requests under another host name are refused, so that no page of another site can read runs or cast votes.
"""

import asyncio
import re
from importlib.resources import files
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veo_core.errors import UsageError
from veo_core.explorer.api import Api, NotFoundError
from veo_core.explorer.media import Served
from veo_core.explorer.results import Ballot
from veo_core.explorer.shell import page

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_VOTE = "vote"
_MOST_BYTES = 65_536
_STATIC = {
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "licences.txt": "text/plain; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; media-src 'self' data: blob:; "
    "style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_RANGE = re.compile("bytes=([0-9]{0,15})-([0-9]{0,15})")
_FOREVER = "private, max-age=31536000, immutable"
_A_DAY = "private, max-age=86400"


def application(api: Api) -> ASGIApp:
    """The server's routes over the documents of `api`."""
    routes = _Routes(api)
    app = Starlette(
        routes=[
            Route("/", routes.index),
            Route("/static/{name}", routes.static),
            Route("/media/{run}/{sha256}", routes.media),
            Route("/thumb/{run}/{clip}", routes.thumbnail),
            Route("/api/votes", routes.vote, methods=["POST"]),
            Route("/api/{rest:path}", routes.document),
        ],
        exception_handlers={
            HTTPException: _unknown,
            NotFoundError: _not_found,
            UsageError: _bad_request,
            Exception: _defect,
        },
    )
    return _Guarded(app)


class _Routes:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def index(self, request: Request) -> Response:
        return Response(page(), media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise NotFoundError(f"there is no {name!r}")
        data = (files(__package__) / "static" / name).read_bytes()
        return Response(data, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})

    async def document(self, request: Request) -> Response:
        path, query = request.url.path, dict(request.query_params)
        document = await asyncio.to_thread(lambda: self._api.get(path, query).model_dump_json())
        return Response(document, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def media(self, request: Request) -> Response:
        run, sha256 = request.path_params["run"], request.path_params["sha256"]
        served = await asyncio.to_thread(self._api.media, run, sha256)
        headers = {"Cache-Control": _FOREVER, "Content-Disposition": _disposition(served)}
        path = await asyncio.to_thread(self._api.local_path, run, served)
        if path is not None:
            return FileResponse(path, media_type=served.type, headers=headers)
        data = await asyncio.to_thread(self._api.read, run, served)
        return _ranged(data, request.headers.get("Range"), served.type, headers)

    async def thumbnail(self, request: Request) -> Response:
        run, clip = request.path_params["run"], request.path_params["clip"]
        data = await asyncio.to_thread(self._api.thumbnail, run, clip)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": _A_DAY})

    async def vote(self, request: Request) -> Response:
        origin = request.headers.get("Origin")
        if origin is None or urlsplit(origin).netloc != request.headers.get("Host"):
            return _error(403, "votes come from this server's own page")
        if request.headers.get("X-Veo") != _VOTE:
            return _error(403, "a vote has the header X-Veo: vote")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                return _error(413, "a vote is a small JSON object")
        try:
            ballot = Ballot.model_validate_json(bytes(body))
        except ValidationError as error:
            first = error.errors()[0]
            return _error(400, f"no vote: {'.'.join(map(str, first['loc']))}: {first['msg']}")
        votes = await asyncio.to_thread(self._api.vote, ballot)
        return Response(votes.model_dump_json(), media_type="application/json")


class _Guarded:
    """Refuses requests under another host name, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        host = Request(scope).headers.get("Host", "").rsplit(":", 1)[0]
        if host not in _HOSTS:
            await _error(403, "only this machine's browser may ask")(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _ranged(data: bytes, wanted: str | None, kind: str, headers: dict[str, str]) -> Response:
    """Bytes, or the one range of them that is asked for."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    span = _span(wanted, len(data)) if wanted else (0, len(data))
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    start, end = span
    if wanted is None:
        return Response(data, media_type=kind, headers=headers)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, media_type=kind, headers=headers)


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """Start and end of "bytes=START-END"; all of it of anything else, None where there are no such bytes."""
    asked = _RANGE.fullmatch(wanted)
    if asked is None or wanted.endswith("=-"):
        return 0, size
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return (start, end) if start < end else None


def _disposition(served: Served) -> str:
    shown = served.type.split("/")[0] in ("video", "audio", "image")
    return "inline" if shown else f'attachment; filename="{served.name}"'


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"{request.method} {request.url.path} is unknown here")


def _not_found(request: Request, error: Exception) -> Response:
    return _error(404, str(error))


def _bad_request(request: Request, error: Exception) -> Response:
    return _error(400, str(error))


def _defect(request: Request, error: Exception) -> Response:
    return _error(500, "internal error; the server's log says more")
