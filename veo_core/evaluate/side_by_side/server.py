"""The page on which people compare two systems."""

import importlib.resources
import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from veo_core.evaluate.rating_page import MOST_LETTERS, RatingServer
from veo_core.evaluate.side_by_side.trials import Pair, Trial, trials_of
from veo_core.evaluate.side_by_side.votes import QUESTIONS, Choice, Question, Vote, read_votes
from veo_core.records.base import Record
from veo_core.records.journal import append_record

_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska", ".webm": "video/webm"}


class Ballot(Record):
    """A vote as the page sends it, by sides."""

    rater: str = Field(min_length=1, max_length=MOST_LETTERS)
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

    def media(self, token: str) -> tuple[bytes, str] | None:
        """A clip and its media type; None for an unknown token, or where the file is gone."""
        path = self._media.get(token)
        try:
            return (path.read_bytes(), _TYPES[path.suffix.lower()]) if path else None
        except OSError:
            return None

    def cast(self, body: bytes) -> None:
        """Save a vote: it is on the disk when this returns.

        Args:
            body: a `Ballot` as JSON.

        Raises:
            ValueError: it is none, there is no such pair, or an answer is no side.
        """
        ballot = Ballot.model_validate_json(body)
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
        with self._lock:
            append_record(self._path, vote)
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


class SideBySideServer(RatingServer):
    """Serves a session at a loopback address.

    Args:
        session: what is compared.
        port: 0 for any that is free.

    Raises:
        OSError: the port cannot be listened on.
    """

    def __init__(self, session: Session, port: int) -> None:
        page = (importlib.resources.files(__package__) / "page.html").read_text(encoding="utf-8")
        questions = json.dumps(QUESTIONS).replace("<", "\\u003c")
        super().__init__(session, page.replace("/*QUESTIONS*/", questions), port)
