"""The judge as an OpenAI-compatible HTTP server, with faults on request.

`POST /v1/chat/completions`, `POST /v1/embeddings` and `GET /v1/models` are those of OpenAI. `GET /stats`
says what was answered (see `Tally`), `POST /faults` sets the `FaultRates`. No URL is ever fetched.
"""

import errno
import hashlib
import json
import math
import select
import socket
import socketserver
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from veo_core.errors import UsageError
from veo_core.world.api import ApiError, chat_completion, embeddings, models
from veo_core.world.faults import FaultRates, Misfortune
from veo_core.world.tally import Tally

MAX_BODY_BYTES = 32 << 20

_MAX_DRAINED_BYTES = 256 << 20
_IDLE_SECONDS = 60.0


class JudgeServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens from construction on; `serve_forever` answers, with a thread for each connection.

    Args:
        host: name or IPv4 address to listen on.
        port: 0 for any free one.
        faults: what goes wrong, until `POST /faults` says otherwise.

    Raises:
        UsageError: the address cannot be listened on.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, faults: FaultRates) -> None:
        self.faults = faults
        self.tally = Tally()
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(_listen_problem(host, port, error)) from None

    @property
    def url(self) -> str:
        """What clients take as OPENAI_BASE_URL."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/v1"  # noqa: S104

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report defects, but not clients that leave."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@dataclass(frozen=True)
class _Reply:
    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "world"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = _IDLE_SECONDS
    server: JudgeServer

    def do_GET(self) -> None:
        routes = {"/v1/models": models, "/stats": self.server.tally.report}
        route = routes.get(self._path)
        self._send(_reply(route) if route else self._unknown(routes))

    def do_POST(self) -> None:
        try:
            raw = self._body()
        except ApiError as error:
            self.close_connection = True
            self._send(_Reply(error.status, error.body))
            return
        if self._path == "/v1/chat/completions":
            self._infer("chat", raw, chat_completion)
        elif self._path == "/v1/embeddings":
            self._infer("embeddings", raw, embeddings)
        elif self._path == "/faults":
            self._send(_reply(lambda: self._set_faults(raw)))
        else:
            self._send(self._unknown(("/v1/chat/completions", "/v1/embeddings", "/faults")))

    def _infer(self, kind: str, raw: bytes, respond: Callable[[Any], dict[str, Any]]) -> None:
        """Answer a request that is counted, and to which faults apply."""
        digest = hashlib.sha256(raw).hexdigest()
        rates = self.server.faults
        luck = rates.draw(digest, self.server.tally.arrive(kind, digest))
        time.sleep(luck.delay)
        reply = _forced(luck, rates) or _reply(lambda: luck.spoil(respond(_json(raw))))
        outcome = f"{reply.status} {luck.fault or ''}".strip()
        # Counted first, so that a client that has its answer finds it counted.
        self.server.tally.answer(digest, outcome)
        if not self._send(reply):
            self.server.tally.lose(digest, outcome)

    def _set_faults(self, raw: bytes) -> dict[str, Any]:
        try:
            self.server.faults = FaultRates.parse(_json(raw), where="faults")
        except UsageError as error:
            raise ApiError(400, str(error)) from None
        return self.server.faults.model_dump()

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _unknown(self, known: Any) -> _Reply:
        error = ApiError(404, f"{self.command} {self._path} is unknown here; known: {', '.join(known)}")
        return _Reply(error.status, error.body)

    def _body(self) -> bytes:
        """The request's body.

        Raises:
            ApiError: it has no length, is too long, or is not declared as JSON.
        """
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise ApiError(411, "the request needs a Content-Length")
        if int(length) > MAX_BODY_BYTES:
            self._drain(int(length))
            raise ApiError(413, f"the body has {length} bytes, at most {MAX_BODY_BYTES} are allowed")
        raw = self.rfile.read(int(length))
        # Also keeps web pages out: a browser sends this type across origins only when it is allowed to.
        if self.headers.get_content_type() != "application/json":
            raise ApiError(415, "the request's Content-Type must be application/json")
        return raw

    def _drain(self, length: int) -> None:
        """Read on, since a client reads its answer only when all is sent."""
        left = min(length, _MAX_DRAINED_BYTES)
        while left and (piece := self.rfile.read1(min(left, 1 << 20))):
            left -= len(piece)

    def _send(self, reply: _Reply) -> bool:
        """Send a reply; False where the client has left."""
        data = json.dumps(reply.body, ensure_ascii=False).encode("utf-8", "replace")
        try:
            if self._client_left():
                raise ConnectionResetError
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
            for name, value in {**headers, **reply.headers}.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
            return False
        return True

    def _client_left(self) -> bool:
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0)) and not self.connection.recv(1, socket.MSG_PEEK)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses: an unreadable request line, an unknown method."""
        self.close_connection = True
        self._send(_Reply(code, ApiError(code, message or "the request cannot be read").body))

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests; `/stats` counts them."""


def _reply(call: Callable[[], Mapping[str, Any]]) -> _Reply:
    try:
        return _Reply(200, call())
    except ApiError as error:
        return _Reply(error.status, error.body)
    except Exception:
        traceback.print_exc()
        return _Reply(500, ApiError(500, "internal error; the server's log says more").body)


def _forced(luck: Misfortune, rates: FaultRates) -> _Reply | None:
    """The error that a fault demands, if it demands one."""
    if luck.fault == "too_many":
        wait = {
            "Retry-After": str(math.ceil(rates.retry_after)),
            "Retry-After-Ms": f"{1000 * rates.retry_after:.0f}",
        }
        error = ApiError(429, "too many requests (a fault on request)", code="rate_limit_exceeded")
        return _Reply(error.status, error.body, wait)
    if luck.fault == "error":
        return _Reply(500, ApiError(500, "out of order (a fault on request)").body)
    return None


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None


def _listen_problem(host: str, port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another with --port, or 0 for any free one"
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return f"port {port} may not be used by this user; choose one above 1023 with --port"
    return f"cannot listen on {host}:{port}: {error}"
