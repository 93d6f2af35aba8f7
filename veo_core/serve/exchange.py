"""One HTTP exchange: a body within limits, an answer in time, errors as JSON, all of it counted."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veo_core.serve.metrics import Metrics
from veo_core.serve.refusal import RefusalError

_Answer = TypeVar("_Answer")

_LEFT = 499  # the client went away: nobody sees this status but the metrics


async def read_json_body(request: Request, limit: int) -> bytes:
    """The body of a request that says that it is JSON, which web pages of other origins may not send.

    Raises:
        RefusalError: 413, it has more than `limit` bytes; 415, it is declared as something else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusalError(415, "the request's Content-Type must be application/json")
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise RefusalError(413, f"the body has more than {limit} bytes")
    except ClientDisconnect:
        raise _left() from None
    return bytes(body)


async def in_time(
    request: Request, work: Coroutine[Any, Any, _Answer], *, seconds: float, late: RefusalError
) -> _Answer:
    """What `work` gives. It is cancelled when its time is up, or when the client leaves.

    Raises:
        RefusalError: `late`, or that the client has left.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({doing, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise _left() if leaving.done() else late
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    """Returns when the client has left; only for requests whose body is read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _left() -> RefusalError:
    return RefusalError(_LEFT, "the client has left")


def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that is refused."""
    assert isinstance(error, RefusalError)
    wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse({"error": str(error)}, error.status, wait)


def http_error(request: Request, error: Exception) -> Response:
    """The answer to an unknown path or method."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path} is unknown here"
    return JSONResponse({"error": message}, error.status_code, error.headers)


def defect(request: Request, error: Exception) -> Response:
    """The answer to what nobody foresaw; the traceback goes to the log."""
    return JSONResponse({"error": "internal error; the server's log says more"}, 500)


class Counted:
    """An application whose answers are counted by route and code."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                endpoint = scope.get("endpoint")  # set by the router
                route = "unknown" if endpoint is None else endpoint.__name__
                self._metrics.requests.labels(route, str(message["status"])).inc()
                self._metrics.latency.labels(route).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, counted)
