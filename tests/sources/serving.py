"""Real HTTP servers on loopback whose answers a test scripts."""

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from veo_core.sources.policy import DownloadPolicy


class Request(BaseHTTPRequestHandler):
    """One request; a test's function answers it."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.answer(self)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `content_type` is the header Content-Type."""
        self.start(status, **({"content_length": str(len(body))} | headers))
        self.wfile.write(body)

    def start(self, status: int, **headers: str) -> None:
        """The head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Answers every GET with `answer`, and remembers path and headers of each."""

    daemon_threads = True

    def __init__(
        self,
        answer: Callable[[Request], None],
        address: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__((address, port), Request)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def host(self) -> str:
        """Address with port, as an allow-list names it."""
        return f"{self.server_address[0]}:{self.server_address[1]}"

    def url(self, path: str = "/clip.mp4") -> str:
        return f"http://{self.host}{path}"

    def handle_error(self, *arguments: object) -> None:
        """A client that leaves is no error of the test."""

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


def etag_of(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'


def file_server(
    data: bytes, *, cut_at: list[int] | None = None, etag: bool = True
) -> Callable[[Request], None]:
    """Serves a file by ranges; each number in `cut_at` breaks one answer off at that byte of the file."""
    tag = etag_of(data)
    cuts = list(cut_at or [])

    def answer(request: Request) -> None:
        wanted = request.headers.get("range")
        resumed = wanted is not None and (not etag or request.headers.get("if-range") == tag)
        first = int(wanted.removeprefix("bytes=").split("-")[0]) if resumed and wanted else 0
        headers = {"content_length": str(len(data) - first), "content_type": "video/mp4"}
        if etag:
            headers["etag"] = tag
        if resumed:
            headers["content_range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        request.start(206 if resumed else 200, **headers)
        last = cuts.pop(0) if cuts else len(data)
        request.wfile.write(data[first:last])

    return answer


def policy_for(*servers: Server, **changes) -> DownloadPolicy:
    """A policy that lets downloads reach test servers, and does not wait long."""
    hosts = [server.host for server in servers]
    quick = {"backoff_seconds": 0.0, "max_wait_seconds": 5.0, "read_seconds": 5.0, "max_seconds": 20.0}
    values = {"allowed_hosts": hosts, "allow_private_hosts": hosts, "allow_http": True} | quick | changes
    return DownloadPolicy(**values)
