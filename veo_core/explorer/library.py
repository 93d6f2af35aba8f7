"""The runs of several folders, local or in buckets, as they are at the moment."""

import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec

from veo_core.errors import UsageError
from veo_core.lineage.evidence import RECORD, Evidence, gather
from veo_core.lineage.forget_runs import DERIVED
from veo_core.records.run import RunRecord
from veo_core.storage import Store
from veo_core.storage.access import access_to

_FRESH, _MOMENT = 3.0, 0.2
"""Seconds for which a listing of a bucket counts, and one of a folder."""

_MIRRORED = re.compile(r"(run\.json|tasks/.+/(log\.txt|outputs/[^/]+)|logs/.+|artifacts/.+|[^/]+\.jsonl)")
_KILLED = "the runner was killed"

Alive = Callable[[Path], bool]
"""Whether the runner that writes the record of a folder still lives."""


class RunsFolder:
    """A folder of runs; of one in a bucket, records, manifests and logs are mirrored.

    Args:
        uri: a local path, or a URI that fsspec knows.

    Raises:
        UsageError: there is no such folder, or no access to it.
    """

    def __init__(self, uri: str) -> None:
        self.label = uri
        try:
            self._fs, self._base = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise UsageError(f"runs {uri}: {error}") from None
        self.is_local = isinstance(self._fs, fsspec.implementations.local.LocalFileSystem)
        self._seen: dict[str, Any] = {}
        self._looked = -_FRESH
        self._lock = threading.Lock()
        if self.is_local:
            self.path = Path(self._base)
            if not self.path.is_dir():
                raise UsageError(f"runs {uri}: there is no such folder; `veo run` makes one")
        else:
            self._mirror = tempfile.TemporaryDirectory(prefix="veo-runs-")
            self.path = Path(self._mirror.name)
            self.refresh()

    def refresh(self) -> None:
        """Bring the mirror of a bucket up to date, unless that was done just now.

        Raises:
            UsageError: there is no access to it.
        """
        if self.is_local:
            return
        with self._lock:
            if time.monotonic() - self._looked < _FRESH:
                return
            with access_to(f"runs {self.label}"):
                found = self._fs.find(self._base, detail=True)
                changed = {}
                for path, info in found.items():
                    name = path.removeprefix(f"{self._base}/")
                    _, _, inner = name.partition("/")
                    stamp = [info.get(key) for key in ("size", "ETag", "etag", "LastModified", "updated")]
                    inside = (self.path / name).resolve().is_relative_to(self.path.resolve())
                    if inside and _MIRRORED.fullmatch(inner) and self._seen.get(name) != stamp:
                        changed[name] = stamp
                for name in changed:
                    (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                parts = {name: self.path / f"{name}.part" for name in changed}
                if parts:
                    self._fs.get([f"{self._base}/{name}" for name in parts], [str(p) for p in parts.values()])
                for name, part in parts.items():
                    part.replace(self.path / name)
            self._seen |= changed
            self._looked = time.monotonic()

    def names(self) -> list[str]:
        """Names of the runs, oldest first."""
        return sorted(path.parent.name for path in self.path.glob(f"*/{RECORD}"))


Places = dict[str, tuple[RunsFolder, str]]


@dataclass(frozen=True)
class Run:
    """A run as it was when it was opened.

    Attributes:
        id: names it over all folders.
        evidence: its record, with tasks that nobody runs any more as cancelled, and its manifests.
        label: the folder of runs that it lies in.
        runs: that folder, or its mirror.
        is_local: whether it lies on this machine.
        scratch: a temporary folder of this process.
        stamp: changes whenever the record does, and all the time while the run is running.
    """

    id: str
    evidence: Evidence
    label: str
    runs: Path
    is_local: bool
    scratch: Path
    stamp: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.evidence.folder

    @property
    def store(self) -> Store:
        return self.evidence.store

    def anew(self) -> "Run":
        """The same run, whose evidence takes notes of its own: each page tells what it could not read."""
        return replace(self, evidence=replace(self.evidence, notes=list(self.evidence.notes)))

    def cache_folder(self) -> Path:
        """A folder for what is derived from the run: beside its record, else a temporary one."""
        beside = self.folder / DERIVED
        if self.is_local:
            try:
                beside.mkdir(exist_ok=True)
                with tempfile.TemporaryFile(dir=beside):
                    return beside
            except OSError:
                pass
        fallback = self.scratch / self.id
        fallback.mkdir(exist_ok=True)
        return fallback


class Library:
    """All runs.

    Args:
        folders: where runs are.
        store: where their data is.
        alive: tells interrupted runs from running ones.
    """

    def __init__(self, folders: Sequence[RunsFolder], store: Store, alive: Alive) -> None:
        self._folders, self._store, self._alive = folders, store, alive
        self._scratch = tempfile.TemporaryDirectory(prefix="veo-explorer-")
        self._opened: dict[str, Run] = {}
        self._found: Places = {}
        self._notes: list[str] = []
        self._looked = -_FRESH

    def ids(self) -> tuple[list[str], list[str]]:
        """Ids of all runs, newest first, and why folders could not be read."""
        found, notes = self._places()
        return sorted(found, key=lambda run: (found[run][1], run), reverse=True), notes

    def resolve(self, query: str) -> str:
        """The id of a run by its id, by the start of one, or by "latest".

        Raises:
            UsageError: there is no such run, or the start fits several.
        """
        ids, notes = self.ids()
        if not ids:
            raise UsageError(notes[0] if notes else "there are no runs")
        if query == "latest":
            return ids[0]
        found = [run for run in ids if run == query] or [run for run in ids if run.startswith(query)]
        if len(found) != 1:
            listed = ", ".join(found[:4]) if found else f"the latest is {ids[0]}"
            raise UsageError(f"{len(found) or 'no'} runs are called {query!r}: {listed}")
        return found[0]

    def open(self, run: str) -> Run:
        """A run as it is now; a damaged record has no run in its evidence.

        Raises:
            UsageError: there is no such run.
        """
        found, _ = self._places()
        if run not in found:
            raise UsageError(f"there is no run {run!r}")
        folder, name = found[run]
        try:
            written = (folder.path / name / RECORD).stat()
        except FileNotFoundError:
            raise UsageError(f"there is no run {run!r} any more") from None
        known, stamp = self._opened.get(run), (str(written.st_mtime_ns), str(written.st_size), "0")
        if known is not None and known.stamp == stamp:
            return known.anew()
        evidence = self._settled(gather(folder.path / name, self._store), folder)
        running = evidence.run is not None and evidence.run.state == "RUNNING"
        now = 1 + int(time.monotonic() / _FRESH) if running else 0
        self._opened[run] = Run(
            id=run,
            evidence=evidence,
            stamp=(*stamp[:2], str(now)),
            label=folder.label,
            runs=folder.path,
            is_local=folder.is_local,
            scratch=Path(self._scratch.name),
        )
        return self._opened[run].anew()

    def _places(self) -> tuple[Places, list[str]]:
        """Folder and name of each run by its id, and why folders could not be read.

        A name that several folders have gets a number. What was found counts for a moment, since a page asks
        for many runs at once.
        """
        if time.monotonic() - self._looked < _MOMENT:
            return self._found, self._notes
        found: Places = {}
        notes = []
        for folder in self._folders:
            try:
                folder.refresh()
            except (UsageError, OSError) as error:
                notes.append(f"{folder.label} cannot be read: {error}")
            for name in folder.names():
                base = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
                names = (base if n == 1 else f"{base}~{n}" for n in range(1, len(found) + 2))
                found[next(name for name in names if name not in found)] = (folder, name)
        self._found, self._notes, self._looked = found, notes, time.monotonic()
        return found, notes

    def _settled(self, evidence: Evidence, folder: RunsFolder) -> Evidence:
        """The evidence of a run whose runner was killed says so; of a bucket's runs nobody knows."""
        run = evidence.run
        if run is None or run.state != "RUNNING":
            return evidence
        if not folder.is_local or run.target != "embedded":
            evidence.notes.append("whether it is still running is not known here: its record says so")
            return evidence
        if self._alive(evidence.folder):
            return evidence
        tasks = [
            task.model_copy(update={"state": "CANCELLED", "reason": _KILLED})
            if task.state in ("RUNNING", "PENDING")
            else task
            for task in run.tasks
        ]
        settled: RunRecord = run.model_copy(update={"state": "INTERRUPTED", "tasks": tasks})
        stages = [replace(stage, task=task) for stage, task in zip(evidence.stages, tasks, strict=True)]
        return replace(evidence, run=settled, stages=stages)
