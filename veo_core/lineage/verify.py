"""Whether all that a run's record vouches for is still what it was: manifests, tables, shards, files."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import Field, ValidationError

from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence, StageEvidence, local_path
from veo_core.lineage.references import Reference, in_json, in_manifest, in_table
from veo_core.lineage.traces import Row, mentioning
from veo_core.progress import track
from veo_core.provenance.copies import find_copy
from veo_core.records.base import Record, canonical_json, read_yaml, sha256_bytes
from veo_core.records.run import ArtifactRecord, RunRecord
from veo_core.storage import Store

IR_COPY = "pipeline.yaml"
_OBJECT = re.compile(r"objects/[0-9a-f]{2}/[0-9a-f]{64}[^/]*")
_REMOTE_THREADS = 16
_TROUBLES = (UsageError, OSError, ValueError, ValidationError, pa.ArrowException)

Trouble = Literal["altered", "missing", "unreadable", "forgotten"]


class Problem(Record):
    """Something that is not as the record says.

    "forgotten" is no damage: `veo forget` removed the source that it was made of.
    """

    trouble: Trouble
    task: str = Field(description="the first task of the run that refers to it; empty for the run itself")
    part: str = Field(description="what it is, such as `shard 3` or `key_frames of table clips`")
    path: str = Field(description="below the store, or below the run's folder for what a task wrote there")
    detail: str = ""


class Verification(Record):
    """What was looked at, and what is wrong with it."""

    run: str
    store: str
    artifacts: int = Field(description="manifests and other files in the run's folder")
    objects: int = Field(description="files in the store, each counted once")
    bytes: int = Field(description="their sizes as they should be")
    problems: list[Problem] = Field(description="in the order of the pipeline")
    notes: list[str] = Field(description="what could not be looked at, and later changes of the run")

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong; what was forgotten on demand is no damage."""
        return all(problem.trouble == "forgotten" for problem in self.problems)


def verify(evidence: Evidence) -> Verification:
    """Read everything that a run refers to, and compare its digests. Progress goes to standard error."""
    folder, run = evidence.folder, evidence.run
    if run is None:
        problems, notes = [_problem("unreadable", "", "the run's record", "run.json", evidence.notes[0])], []
    else:
        problems, notes = [*_pipeline_copy(folder, run), *_disagreements(run)], _notes(run)
    artifacts = 0
    for stage in evidence.stages:
        for name, artifact in _artifacts(stage):
            artifacts += 1
            problems += _artifact_problems(folder, stage.task.name, name, artifact, notes)
    with tempfile.TemporaryDirectory(prefix="veo-verify-") as scratch:
        inventory = _Inventory(evidence.store, Path(scratch))
        for stage in evidence.stages:
            inventory.add(stage)
        problems += inventory.problems()
    order = {stage.task.name: stage.index for stage in evidence.stages}
    return Verification(
        run=folder.name,
        store=evidence.store.root,
        artifacts=artifacts,
        objects=len(inventory.entries),
        bytes=sum(reference.bytes for _, reference in inventory.entries),
        problems=sorted(problems, key=lambda problem: order.get(problem.task, -1)),
        notes=notes,
    )


def _notes(run: RunRecord) -> list[str]:
    notes = [f"changed on {change.when}: {change.why}" for change in run.changes]
    if run.state != "SUCCEEDED":
        notes.append(f"the run is {run.state.lower()}: what it did not get to is not there to be looked at")
    return notes


def _pipeline_copy(folder: Path, run: RunRecord) -> Iterator[Problem]:
    try:
        if sha256_bytes(canonical_json(read_yaml(folder / IR_COPY))) != run.ir_digest:
            yield _problem("altered", "", "the compiled pipeline", IR_COPY)
    except _TROUBLES as error:
        missing = not (folder / IR_COPY).exists()
        if run.target == "embedded" or not missing:
            detail = "" if missing else str(error)
            yield _problem(
                "missing" if missing else "unreadable", "", "the compiled pipeline", IR_COPY, detail
            )


def _disagreements(run: RunRecord) -> Iterator[Problem]:
    """Inputs that are recorded with another digest than the task that wrote them has, or has had."""
    made = {a.uri: a.sha256 for task in run.tasks for artifacts in task.outputs.values() for a in artifacts}
    newer = {before: after for change in run.changes for before, after in change.digests.items()}
    for task in run.tasks:
        for name, artifacts in task.inputs.items():
            for artifact in artifacts:
                known, digest = {artifact.sha256}, artifact.sha256
                while (digest := newer.get(digest, digest)) not in known:
                    known.add(digest)
                if made.get(artifact.uri, artifact.sha256) not in known:
                    detail = "the task that wrote it is recorded with another digest"
                    yield _problem("altered", task.name, f"record of input {name}", artifact.uri, detail)


def _artifacts(stage: StageEvidence) -> Iterator[tuple[str, ArtifactRecord]]:
    for name, artifacts in stage.task.outputs.items():
        yield from ((name, artifact) for artifact in artifacts if artifact.sha256)


def _artifact_problems(
    folder: Path, task: str, name: str, artifact: ArtifactRecord, notes: list[str]
) -> Iterator[Problem]:
    if urlsplit(artifact.uri).scheme not in ("", "file"):
        notes.append(f"{task}: {name} is kept elsewhere and not looked at: {artifact.uri}")
        return
    unseen = "what it refers to is not looked at" if name == "manifest" else ""
    try:
        path = local_path(folder, artifact.uri)
        if sha256_bytes(path.read_bytes()) != artifact.sha256:
            yield _problem("altered", task, name, str(path.relative_to(folder.resolve())), unseen)
    except FileNotFoundError:
        yield _problem("missing", task, name, artifact.uri, unseen)
    except (UsageError, OSError) as error:
        yield _problem("unreadable", task, name, artifact.uri, str(error))


class _Inventory:
    """The files in the store that tasks refer to, each with the first task that does.

    Attributes:
        entries: (index of what holds the reference, the reference); of what holds it the task is known, and
            the table where it is one.
    """

    def __init__(self, store: Store, scratch: Path) -> None:
        self._store = store
        self._scratch = scratch
        self._remote = "://" in store.root
        self._holders: list[tuple[str, Reference | None]] = []
        self._seen: set[tuple[str, str]] = set()
        self.entries: list[tuple[int, Reference]] = []

    def add(self, stage: StageEvidence) -> None:
        """Note what a stage's manifest refers to, what its tables and JSON files do, and signed copies.

        What is damaged is not opened, for it may name anything.
        """
        if stage.manifest is not None:
            self._add(stage.task.name, None, in_manifest(stage.manifest))

    def _add(self, task: str, holder: Reference | None, references: Iterable[Reference]) -> None:
        self._holders.append((task, holder))
        index, fresh = len(self._holders) - 1, []
        for reference in references:
            identity = (reference.path, reference.sha256)
            if identity not in self._seen:
                self._seen.add(identity)
                self.entries.append((index, reference))
                fresh.append(reference)
        for reference in fresh:
            if reference.path.endswith((".parquet", ".json")) and _OBJECT.fullmatch(reference.path):
                self._open(task, reference)
            elif reference.part == "media of table generated":
                self._add_copy(task, reference)

    def _open(self, task: str, holder: Reference) -> None:
        if not self._remote and self._trouble_of(holder) is not None:
            return
        try:
            path = self._store.local_path(holder.ref, self._scratch)
            if path.suffix == ".json":
                self._add(task, None, in_json(path.read_bytes(), holder.part))
            else:
                self._add(task, holder, in_table(path, holder.part))
        except _TROUBLES:
            return

    def _add_copy(self, task: str, clip: Reference) -> None:
        try:
            copy = find_copy(self._store, clip.sha256)
        except _TROUBLES:
            self._add(task, None, [clip._replace(path="", part=f"note of the signed file of {clip.part}")])
            return
        if copy is not None:
            signed = Reference(copy.file.path, copy.file.sha256, copy.file.bytes, f"signed {clip.part}")
            self._add(task, None, [signed])

    def problems(self) -> Iterator[Problem]:
        """What is not as it was."""
        with ThreadPoolExecutor(_REMOTE_THREADS if self._remote else len(os.sched_getaffinity(0))) as pool:
            answers = track(
                pool.map(self._trouble_of, (reference for _, reference in self.entries)),
                total=len(self.entries),
                label="verify",
                unit="files",
            )
            wrong = [(e, a) for e, a in zip(self.entries, answers, strict=True) if a is not None]
        forgotten = self._forgotten([entry for entry, (trouble, _) in wrong if trouble == "missing"])
        for (holder, reference), (trouble, detail) in wrong:
            gone = reference.path in forgotten
            task, _ = self._holders[holder]
            yield _problem("forgotten" if gone else trouble, task, reference.part, reference.path, detail)

    def _trouble_of(self, reference: Reference) -> tuple[Trouble, str] | None:
        if not _OBJECT.fullmatch(reference.path):
            return "unreadable", "this is no place of an object in a store"
        try:
            digest, size = self._store.digest_of(reference.path)
        except FileNotFoundError:
            return "missing", ""
        except _TROUBLES as error:
            return "unreadable", str(error)
        if digest == reference.sha256:
            return None
        changed = "its bytes changed" if size == reference.bytes else f"{size} bytes, were {reference.bytes}"
        unseen = (
            "; what it refers to is not looked at" if reference.path.endswith((".parquet", ".json")) else ""
        )
        return "altered", changed + unseen

    def _forgotten(self, missing: list[tuple[int, Reference]]) -> set[str]:
        """Paths of missing files that belonged to forgotten sources and to nothing else."""
        found = {r.path for _, r in missing if self._store.get_mark(f"forgotten/{r.sha256}") is not None}
        held: dict[int, dict[str, str]] = {}
        for holder, reference in missing:
            if reference.path not in found:
                held.setdefault(holder, {})[reference.sha256] = reference.path
        for holder, digests in held.items():
            _, table = self._holders[holder]
            if table is not None:
                owners = self._owners(table, digests)
                found |= {
                    digests[d] for d, sources in owners.items() if all(map(self._is_forgotten, sources))
                }
        return found

    def _owners(self, table: Reference, digests: dict[str, str]) -> dict[str, set[str]]:
        """By the digest of a file, the ids of the sources whose rows refer to it."""
        owners: dict[str, set[str]] = {}
        for row in mentioning(self._store.local_path(table.ref, self._scratch), digests.keys()):
            for reference in _in_row(row):
                if reference in digests:
                    owners.setdefault(reference, set()).add(_source_of(row))
        return owners

    def _is_forgotten(self, source: str) -> bool:
        return bool(source) and self._store.get_mark(f"forgotten/{source}") is not None


def _in_row(value: object) -> Iterator[str]:
    """Every text of a row, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _in_row(item)


def _source_of(row: Row) -> str:
    source = row.get("source")
    inner = source.get("source_id") if isinstance(source, dict) else source
    return str(row.get("source_id") or inner or "")


def _problem(trouble: Trouble, task: str, part: str, path: str, detail: str = "") -> Problem:
    return Problem(trouble=trouble, task=task, part=part, path=path, detail=detail)
