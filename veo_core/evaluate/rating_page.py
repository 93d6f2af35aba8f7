"""A page on which people rate clips, served on this machine alone.

The page learns neither what made a clip nor a file's name: clips go by random tokens. Requests under
another host name are refused, so that no page of another site can read clips or send ratings.
"""

import importlib.resources
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from veo_core.records.base import canonical_json

MOST_LETTERS = 64
"""Of a rater's name."""

_MOST_BYTES = 65_536
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Session(Protocol):
    """What is rated, and where ratings go."""

    def open_trials(self, rater: str) -> list[dict[str, str]]:
        """What a rater is still to rate, as the page gets it."""

    def media(self, token: str) -> tuple[bytes, str] | None:
        """A clip and its media type; None for an unknown token, or where the file is gone."""

    def cast(self, body: bytes) -> None:
        """Save a rating: it is on the disk when this returns.

        Raises:
            ValueError: it is none.
        """


class RatingServer(ThreadingHTTPServer):
    """Serves a session at a loopback address: the page at `/`, `/trials?rater=`, `/media/`, `/votes`.

    Args:
        session: what is rated.
        page: the page, HTML; `/*SHARED*/` stands for rating_page.js.
        port: 0 for any that is free.

    Raises:
        OSError: the port cannot be listened on.
    """

    daemon_threads = True

    def __init__(self, session: Session, page: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.session = session
        script = (importlib.resources.files(__package__) / "rating_page.js").read_text(encoding="utf-8")
        self.page = page.replace("/*SHARED*/", script).encode()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def serve_until_interrupted(self) -> None:
        """Answer until Ctrl-C."""
        with self:
            try:
                self.serve_forever()
            except KeyboardInterrupt:
                return


class _Handler(BaseHTTPRequestHandler):
    server: RatingServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_local():
            return
        url = urlsplit(self.path)
        if url.path == "/":
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif url.path == "/trials":
            rater = parse_qs(url.query).get("rater", [""])[0]
            if not 1 <= len(rater) <= MOST_LETTERS:
                self._refuse(HTTPStatus.BAD_REQUEST, f"give your name, of at most {MOST_LETTERS} letters")
                return
            self._json(HTTPStatus.OK, self.server.session.open_trials(rater))
        elif url.path.startswith("/media/"):
            clip = self.server.session.media(url.path.removeprefix("/media/"))
            if clip is None:
                self._refuse(HTTPStatus.NOT_FOUND, "there is no such clip")
            else:
                self._answer(HTTPStatus.OK, *clip)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        if not self._is_local():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a vote is a small JSON object")
            return
        body = self.rfile.read(int(length))
        if urlsplit(self.path).path != "/votes" or self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.BAD_REQUEST, "post JSON to /votes")
            return
        try:
            self.server.session.cast(body)
        except ValidationError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"no vote: {error.errors()[0]['msg']}")
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"it cannot be written: {error.strerror}")
        else:
            self._json(HTTPStatus.OK, {"saved": True})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a rater's terminal shows the address, not each request."""

    def _is_local(self) -> bool:
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        origin = self.headers.get("Origin")
        if host in _HOSTS and (origin is None or urlsplit(origin).netloc == self.headers.get("Host")):
            return True
        self.close_connection = True
        self._refuse(HTTPStatus.FORBIDDEN, "only pages of this machine may ask")
        return False

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._json(status, {"error": why})

    def _json(self, status: HTTPStatus, value: Any) -> None:
        self._answer(status, canonical_json(value), "application/json")

    def _answer(self, status: HTTPStatus, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; media-src blob:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        )
        self.end_headers()
        self.wfile.write(data)
