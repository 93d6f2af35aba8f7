"""The page on which people compare two systems, served on this machine alone.

The page learns neither which system made a clip nor a file's name: clips go by random tokens. Requests under
another host name are refused, so that no page of another site can read clips or cast votes.
"""

import importlib.resources
import json
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, ValidationError

from veo_core.evaluate.side_by_side.trials import Pair, Trial, trials_of
from veo_core.evaluate.side_by_side.votes import QUESTIONS, Choice, Question, Vote, read_votes
from veo_core.records.base import Record, canonical_json

_MOST_BYTES = 65_536
_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska", ".webm": "video/webm"}
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Ballot(Record):
    """A vote as the page sends it, by sides."""

    rater: str = Field(min_length=1, max_length=64)
    pair: str
    answers: dict[Question, str]
    seconds: float = Field(ge=0)
    watched: bool
    heard: bool


class Session:
    """The pairs, who has seen which, and where votes go.

    Args:
        pairs: what is compared.
        votes: the JSONL file to which votes are added; those that it holds are taken up.
        seed: of order and sides.
    """

    def __init__(self, pairs: Sequence[Pair], votes: Path, *, seed: int) -> None:
        self._pairs, self._path, self._seed = pairs, votes, seed
        self._done = {(vote.rater, vote.pair) for vote in read_votes(votes)}
        self._media: dict[str, Path] = {}
        self._lock = threading.Lock()

    def open_trials(self, rater: str) -> list[dict[str, str]]:
        """What a rater is still to judge, as the page gets it: pair, prompt, addresses of both sides."""
        return [
            {
                "pair": trial.pair.identity,
                "prompt": trial.pair.prompt,
                "left": self._address(trial.pair.clip(trial.left)),
                "right": self._address(trial.pair.clip(trial.right)),
            }
            for trial in trials_of(self._pairs, rater, seed=self._seed)
            if (rater, trial.pair.identity) not in self._done
        ]

    def media(self, token: str) -> Path | None:
        return self._media.get(token)

    def cast(self, ballot: Ballot) -> None:
        """Save a vote: it is on the disk when this returns.

        Raises:
            ValueError: no such pair, or an answer that is no side.
        """
        trial = self._trial(ballot)
        sides: Mapping[str, Choice] = {"left": trial.left, "right": trial.right, "same": "same"}
        if not ballot.answers or not set(ballot.answers.values()) <= set(sides):
            raise ValueError("each answer must be left, right or same")
        vote = Vote(
            rater=ballot.rater,
            pair=ballot.pair,
            prompt=trial.pair.prompt,
            catch=trial.pair.catch,
            left=trial.left,
            answers={question: sides[side] for question, side in ballot.answers.items()},
            seconds=ballot.seconds,
            watched=ballot.watched,
            heard=ballot.heard,
        )
        with self._lock, self._path.open("ab") as stream:
            stream.write(vote.to_bytes() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
            self._done.add((vote.rater, vote.pair))

    def _trial(self, ballot: Ballot) -> Trial:
        for trial in trials_of(self._pairs, ballot.rater, seed=self._seed):
            if trial.pair.identity == ballot.pair:
                return trial
        raise ValueError("there is no such pair")

    def _address(self, path: Path) -> str:
        token = secrets.token_urlsafe(16)
        self._media[token] = path
        return f"/media/{token}"


class SideBySideServer(ThreadingHTTPServer):
    """Serves a session at a loopback address.

    Args:
        session: what is compared.
        port: 0 for any that is free.
    """

    daemon_threads = True

    def __init__(self, session: Session, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.session = session
        page = importlib.resources.files(__package__) / "page.html"
        questions = json.dumps(QUESTIONS).replace("<", "\\u003c")
        self.page = page.read_text(encoding="utf-8").replace("/*QUESTIONS*/", questions).encode()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: SideBySideServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_local():
            return
        url = urlsplit(self.path)
        if url.path == "/":
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif url.path == "/trials":
            rater = parse_qs(url.query).get("rater", [""])[0]
            if not 1 <= len(rater) <= 64:
                self._refuse(HTTPStatus.BAD_REQUEST, "give your name, of at most 64 letters")
                return
            self._json(HTTPStatus.OK, self.server.session.open_trials(rater))
        elif url.path.startswith("/media/"):
            self._clip(url.path.removeprefix("/media/"))
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
            self.server.session.cast(Ballot.model_validate_json(body))
        except ValidationError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"no vote: {error.errors()[0]['msg']}")
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
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

    def _clip(self, token: str) -> None:
        path = self.server.session.media(token)
        try:
            data = path.read_bytes() if path else None
        except OSError:
            data = None
        if path is None or data is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such clip")
            return
        self._answer(HTTPStatus.OK, data, _TYPES[path.suffix.lower()])

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
