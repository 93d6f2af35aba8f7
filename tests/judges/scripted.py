"""A chat-completions server that a test scripts, for answers that no good server gives on demand."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from veo_core.curate.judging import Text
from veo_core.records.base import Record


class Verdict(Record):
    unsafe: bool
    reason: Text
    scores: list[int]


def completion(content, **message):
    text = content if isinstance(content, str) else json.dumps(content)
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "served-model-2",
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
    }


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    def handle_error(self, request, client_address):
        pass


class ScriptedServer:
    """A chat-completions server that answers what a test tells it to.

    `reply(body)` gives (status, headers, response) for each request; `requests` holds the bodies, `times`
    when they came.
    """

    def __init__(self, reply: Callable[[dict], tuple[int, dict, object]]) -> None:
        self.requests: list[dict] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                script._connections.add(self.connection)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with script._lock:
                    script.requests.append(body)
                    script.times.append(time.monotonic())
                    script._now += 1
                    script.most_at_once = max(script.most_at_once, script._now)
                status, headers, response = reply(body)
                with script._lock:
                    script._now -= 1
                data = response if isinstance(response, bytes) else json.dumps(response).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self._connections: set[socket.socket] = set()
        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def die(self):
        """Stop listening and cut every connection, as a killed server does."""
        self._server.socket.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
