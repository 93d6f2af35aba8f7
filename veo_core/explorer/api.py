"""Which path gives which document.

    /api/runs                                                RunsDocument
    /api/runs/{run}                                          RunDocument
    /api/runs/{run}/tasks/{index}/log?from=BYTE              LogDocument
    /api/runs/{run}/funnel                                   FunnelDocument
    /api/runs/{run}/clips?offset=&limit=&sort=&where=        ClipsDocument
    /api/runs/{run}/clips/fields                             FieldsDocument
    /api/runs/{run}/clips/{clip}                             ClipDocument
    /api/runs/{run}/training                                 TrainingDocument
    /api/runs/{run}/evaluation                               EvaluationDocument
    /api/runs/{run}/signals/{clip}                           SignalsDocument
    /api/runs/{run}/model                                    ModelDocument
    /api/compare/{first}/{second}                            CompareDocument
    /api/votes/{first}/{second}                              VotesDocument; POST /api/votes takes a Ballot

`{run}` is an id of RunsDocument. The single file embeds documents under the same paths.
"""

import contextlib
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from veo_core.errors import UsageError
from veo_core.explorer.clip_index import ClipIndex
from veo_core.explorer.comparison import cast_vote, compare_document, votes_document
from veo_core.explorer.documents import RunSummary
from veo_core.explorer.evaluation import evaluation_document
from veo_core.explorer.funnel import funnel_document
from veo_core.explorer.gallery import clips_document, fields_document
from veo_core.explorer.library import Library, Run
from veo_core.explorer.media import Media, Served
from veo_core.explorer.model import model_document
from veo_core.explorer.results import Ballot, VotesDocument
from veo_core.explorer.run import log_document, run_document
from veo_core.explorer.runs import run_summary, runs_document
from veo_core.explorer.signals import signals_document
from veo_core.explorer.stories import clip_document, find_clip
from veo_core.explorer.training import training_document
from veo_core.records.base import Record

Made = TypeVar("Made")
Query = Mapping[str, str]

_PAGE = 100
_LARGE = 64 << 20
"""Bytes from which a file is not held in memory, and not verified before it is sent."""


class NotFoundError(Exception):
    """There is nothing at this path."""


class Api:
    """The documents of a library's runs; what was made of a run is kept until its record changes."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._kept: dict[tuple[str, ...], Any] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock, self._voting = threading.Lock(), threading.Lock()
        self._scratch = tempfile.TemporaryDirectory(prefix="veo-downloads-")
        self._downloads = Path(self._scratch.name)

    def get(self, path: str, query: Query) -> Record:
        """The document at a path.

        Raises:
            NotFoundError: there is none.
            UsageError: the query cannot be answered.
        """
        parts = path.strip("/").split("/")
        match parts:
            case ["api", "runs"]:
                return runs_document(self._library, lambda run: self._summary(self._open(run)))
            case ["api", "compare", first, second]:
                return self._compare(self._open(first), self._open(second))
            case ["api", "votes", first, second]:
                return votes_document(self._open(first), self._open(second))
            case ["api", "runs", run, *rest]:
                return self._of_run(self._open(run), rest, query)
        raise NotFoundError(path)

    def warm_up(self) -> None:
        """Begin to build the index of the newest run, which is what most people look at first."""
        ids, _ = self._library.ids()
        if ids:
            self._prepare(self._open(ids[0]))

    def media(self, run: str, sha256: str) -> Served:
        """A file that a run refers to.

        Raises:
            NotFoundError: it refers to no such file.
        """
        return self._found(lambda: self._media(self._open(run)).find(sha256))

    def local_path(self, run: str, served: Served) -> Path | None:
        """Where a large file lies on this machine, to be sent from there; None for others.

        Raises:
            NotFoundError: it is missing.
        """
        ref = served.ref
        if ref is None or ref.bytes < _LARGE:
            return None
        return self._found(lambda: self._open(run).store.local_path(ref, self._downloads))

    def read(self, run: str, served: Served) -> bytes:
        """The bytes of a file; those of an object are verified.

        Raises:
            NotFoundError: it is missing or was altered.
        """
        ref = served.ref
        if ref is None:
            assert served.data is not None
            return served.data
        return self._found(lambda: self._open(run).store.get_bytes(ref))

    def thumbnail(self, run: str, clip: str) -> bytes:
        """A small JPEG of a clip.

        Raises:
            NotFoundError: there is no picture of it.
        """
        return self._found(lambda: self._media(self._open(run)).thumbnail(clip))

    def vote(self, ballot: Ballot) -> VotesDocument:
        """Save a vote.

        Raises:
            NotFoundError: there is no such run.
            UsageError: there is no such pair, or it cannot be saved.
        """
        first, second = self._open(ballot.a), self._open(ballot.b)
        with self._voting:
            return cast_vote(first, second, ballot)

    def _of_run(self, run: Run, rest: list[str], query: Query) -> Record:
        match rest:
            case []:
                self._prepare(run)
                return self._once(run, "run", lambda: run_document(run, self._summary(run)))
            case ["tasks", index, "log"] if re.fullmatch("[0-9]{1,6}", index):
                start = _number(query, "from", None)
                return self._found(lambda: log_document(run, int(index), start))
            case ["funnel"]:
                return self._once(run, "funnel", lambda: funnel_document(run))
            case ["clips", *_]:
                return self._of_clips(run, self._media(run).index, rest[1:], query)
            case ["training"]:
                return self._once(run, "training", lambda: training_document(run))
            case ["evaluation"]:
                return self._once(run, "evaluation", lambda: evaluation_document(run))
            case ["signals", clip]:
                media = self._media(run)
                return self._found(lambda: signals_document(run, media.generated(clip)))
            case ["model"]:
                return self._found(lambda: model_document(run))
        raise NotFoundError("/".join(rest))

    def _of_clips(self, run: Run, index: ClipIndex, rest: list[str], query: Query) -> Record:
        match rest:
            case []:
                return clips_document(
                    index,
                    where=query.get("where", ""),
                    sort=query.get("sort", ""),
                    offset=_number(query, "offset", 0) or 0,
                    limit=_number(query, "limit", _PAGE) or 0,
                )
            case ["fields"]:
                return self._once(run, "fields", lambda: fields_document(index))
            case [clip]:
                return self._found(lambda: clip_document(run, index, find_clip(index, clip)))
        raise NotFoundError("/".join(rest))

    def _prepare(self, run: Run) -> None:
        """Begin to build the index of the clips that will be looked at next."""

        def build() -> None:
            # What is wrong is told to whom looks at the clips.
            with contextlib.suppress(UsageError, OSError):
                _ = self._media(run).index

        threading.Thread(target=build, daemon=True).start()

    def _compare(self, first: Run, second: Run) -> Record:
        summaries = self._summary(first), self._summary(second)
        name = f"compared with {second.id}"
        return self._once(first, name, lambda: compare_document(first, second, summaries), second)

    def _open(self, run: str) -> Run:
        return self._found(lambda: self._library.open(run))

    def _summary(self, run: Run) -> RunSummary:
        return self._once(run, "summary", lambda: run_summary(run))

    def _media(self, run: Run) -> Media:
        return self._once(run, "media", lambda: Media(run.anew()))

    def _once(self, run: Run, what: str, make: Callable[[], Made], other: Run | None = None) -> Made:
        """What `make` gives, made by one thread, and kept until the run, or the other one, changes."""
        key = (run.id, what, *run.stamp, *(other.stamp if other else ()))
        with self._lock:
            if key in self._kept:
                found: Made = self._kept[key]
                return found
            lock = self._locks.setdefault(f"{run.id} {what}", threading.Lock())
        with lock:
            if key not in self._kept:
                made = make()
                with self._lock:
                    for old in [kept for kept in self._kept if kept[:2] == key[:2]]:
                        del self._kept[old]
                    self._kept[key] = made
            found = self._kept[key]
            return found

    @staticmethod
    def _found(look: Callable[[], Made]) -> Made:
        try:
            return look()
        except UsageError as error:
            raise NotFoundError(str(error)) from None


def _number(query: Query, name: str, default: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise UsageError(f"{name}: {text[:20]!r} is no number")
    return int(text)
