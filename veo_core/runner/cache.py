"""A content-addressed cache of what tasks produced.

A folder with `objects/` (files by sha256), `entries/` (a task's outputs by its key) and `latest/` (what the
key of each task's last entry was made of, to tell why a task ran anew). Everything is published by renaming,
so that concurrent runs may share it; everything is verified when read, so that damage is a miss.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.changes import value_changes
from veo_core.runner.artifacts import Artifact, digest_of, file_digest, files_below, local_path

RecordT = TypeVar("RecordT", bound=Record)

_LISTED = 6


class KeyParts(Record):
    """What the identity of a task's execution is made of.

    `command` is the resolved command line with paths and run-specific values replaced by stable tokens.
    `code` is what the command runs: by file and library where it is installed, else its image.
    `inputs` is, by name, the identity of each artifact's content and metadata.
    """

    component: str
    command: list[str]
    env: dict[str, str] = Field(default_factory=dict)
    code: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, list[str]] = Field(default_factory=dict)
    outputs: list[str] = Field(default_factory=list)

    def changes(self, last: "KeyParts") -> list[str]:
        """What differs from the last execution, in words."""
        pairs = (
            ("code of {}", last.code, self.code),
            ("input `{}`", _whole(last.inputs), _whole(self.inputs)),
            ("argument `{}`", last.parameters, self.parameters),
            ("environment variable `{}`", last.env, self.env),
        )
        found = [
            f"{pattern.format(change.name)} changed"
            for pattern, theirs, mine in pairs
            for change in value_changes(theirs, mine)
        ]
        if not found and self != last:
            found = ["its command changed" if self.command != last.command else "its definition changed"]
        return found


class CachedArtifact(Record):
    """An artifact of an entry; `files` maps relative paths to sha256, and a single file has the path ""."""

    uri: str = Field(default="", description="set where the artifact lies elsewhere and was not copied")
    sha256: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    folder: bool = False
    files: dict[str, str] = Field(default_factory=dict)


class Entry(Record):
    """What a task produced, and in which run."""

    run_id: str
    task: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    artifacts: dict[str, CachedArtifact] = Field(default_factory=dict)


class Latest(Record):
    """The parts of the key of a task's last entry."""

    key: str
    parts: KeyParts


@dataclass(frozen=True)
class Lookup:
    """The answer of the cache: an entry, or why there is none."""

    entry: Entry | None
    reason: str


class CacheStore:
    """The cache in `folder`.

    Raises:
        UsageError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            for name in ("objects", "entries", "latest"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None

    def look_up(self, task: str, parts: KeyParts) -> Lookup:
        """Find the entry for `parts`; `task` names the task in pipelines over time."""
        key = parts.digest
        path = self.folder / "entries" / f"{key}"
        if path.exists():
            entry = _read(path, Entry)
            if entry is not None:
                _write(self._latest_path(task), Latest(key=key, parts=parts))
                return Lookup(entry, f"hit: same inputs, code and arguments as run {entry.run_id}")
            return Lookup(None, "miss: the cached entry is damaged")
        latest = _read(self._latest_path(task), Latest)
        if latest is None:
            return Lookup(None, "miss: first run")
        changes = parts.changes(latest.parts)
        return Lookup(None, f"miss: {_listed(changes) or 'the cached entry was removed'}")

    def restore(self, entry: Entry, targets: Mapping[str, Artifact]) -> dict[str, Artifact] | None:
        """Write an entry's artifacts to the places of `targets`; None where the entry is damaged."""
        restored: dict[str, Artifact] = {}
        for name, target in targets.items():
            cached = entry.artifacts.get(name)
            if cached is None or not self._restore_files(cached, Path(target.uri)):
                return None
            restored[name] = Artifact(
                name=target.name,
                schema=target.schema,
                uri=cached.uri or target.uri,
                digest=cached.sha256,
                metadata=cached.metadata,
            )
            if digest_of(restored[name].uri) != cached.sha256:
                return None
        return restored

    def save(
        self,
        task: str,
        parts: KeyParts,
        run_id: str,
        parameters: Mapping[str, Any],
        artifacts: Mapping[str, Artifact],
        places: Mapping[str, str],
    ) -> None:
        """Publish what a task produced; `places` are the paths that its artifacts were to be written to."""
        entry = Entry(
            run_id=run_id,
            task=task,
            parameters=dict(parameters),
            artifacts={name: self._keep(artifact, places[name]) for name, artifact in artifacts.items()},
        )
        key = parts.digest
        _write(self.folder / "entries" / f"{key}", entry)
        _write(self._latest_path(task), Latest(key=key, parts=parts))

    def discard(self, is_stale: Callable[[bytes], bool]) -> int:
        """Delete what tasks produced where `is_stale` says so of any of their files' bytes.

        Returns:
            The number of entries that are gone; their tasks will run anew.
        """
        stale = {path.name for path in self.folder.glob("objects/*/*") if is_stale(path.read_bytes())}
        gone = 0
        for path in sorted(self.folder.glob("entries/*")):
            entry = _read(path, Entry)
            artifacts = entry.artifacts.values() if entry else ()
            if any(stale & set(artifact.files.values()) for artifact in artifacts):
                path.unlink(missing_ok=True)
                gone += 1
        for digest in stale:
            self._object(digest).unlink(missing_ok=True)
        return gone

    def _latest_path(self, task: str) -> Path:
        return self.folder / "latest" / f"{sha256_bytes(task.encode())}"

    def _object(self, digest: str) -> Path:
        return self.folder / "objects" / digest[:2] / digest

    def _keep(self, artifact: Artifact, place: str) -> CachedArtifact:
        metadata = dict(artifact.metadata)
        if artifact.uri != place:
            return CachedArtifact(uri=artifact.uri, sha256=artifact.digest, metadata=metadata)
        path = local_path(artifact.uri)
        assert path is not None
        if path.is_dir():
            files = {name: self._keep_file(file) for name, file in files_below(path)}
            return CachedArtifact(sha256=artifact.digest, metadata=metadata, folder=True, files=files)
        files = {"": self._keep_file(path)} if path.is_file() else {}
        return CachedArtifact(sha256=artifact.digest, metadata=metadata, files=files)

    def _keep_file(self, file: Path) -> str:
        digest = file_digest(file)
        target = self._object(digest)
        if not target.exists() or file_digest(target) != digest:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = _part(target)
            shutil.copyfile(file, part)
            part.replace(target)
        return digest

    def _restore_files(self, cached: CachedArtifact, target: Path) -> bool:
        if cached.folder:
            target.mkdir(parents=True, exist_ok=True)
        for name, digest in cached.files.items():
            path = target / name if name else target
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(self._object(digest), path)
            except OSError:
                return False
        return True


def artifact_identity(artifact: Artifact) -> str:
    """The identity of an input artifact: its bytes, metadata, type and file name, but not its place."""
    facts = {
        "digest": artifact.digest,
        "metadata": dict(artifact.metadata),
        "schema": dict(artifact.schema),
        "name": os.path.basename(artifact.uri),
    }
    return hashlib.sha256(canonical_json(facts)).hexdigest()


def _whole(inputs: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: " ".join(identities) for name, identities in inputs.items()}


def _listed(changes: list[str]) -> str:
    shown = ", ".join(changes[:_LISTED])
    return shown + f" and {len(changes) - _LISTED} more" * (len(changes) > _LISTED)


def _read(path: Path, record: type[RecordT]) -> RecordT | None:
    """The record at `path`; None where there is none, or where it is not as it was written."""
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
        return record.model_validate_json(data) if sha256_bytes(data).encode() == digest else None
    except (OSError, ValueError):
        return None


def _write(path: Path, record: Record) -> None:
    data = record.to_bytes()
    part = _part(path)
    part.write_bytes(sha256_bytes(data).encode() + b"\n" + data)
    part.replace(path)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")
