"""A JSON service over HTTP on loopback, in a thread."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """A request as it came; `query` keeps the order and repetitions of its keys."""

    method: str
    host: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def first(self, key: str) -> str | None:
        return next((value for name, value in self.query if name == key), None)


class HttpError(Exception):
    """An answer that is an error, with its body."""

    def __init__(self, code: int, body: Any) -> None:
        super().__init__(f"{code}: {body}")
        self.code = code
        self.body = body


@contextmanager
def serving(answer: Callable[[Request], Any], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer requests with the JSON that `answer` returns, or with its `HttpError`; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            url = urlsplit(self.path)
            request = Request(
                method=self.command,
                host=self.headers["Host"].partition(":")[0],
                path=url.path,
                query=parse_qsl(url.query, keep_blank_values=True),
                headers=self.headers,
                body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
            )
            try:
                code, body = 200, answer(request)
            except HttpError as error:
                code, body = error.code, error.body
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _respond  # noqa: N815 - the names that the base class calls

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
