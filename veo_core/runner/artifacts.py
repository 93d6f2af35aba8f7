"""Artifacts: where their bytes are, and the identity of those bytes."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from veo_core.records.run import ArtifactRecord


@dataclass(frozen=True)
class Artifact:
    """An artifact of a run.

    Attributes:
        uri: a local path, or the URI of something that the engine does not read.
        digest: identity of the content, "" where the producer wrote none.
    """

    name: str
    schema: Mapping[str, str]
    uri: str
    digest: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def runtime(self) -> dict[str, Any]:
        """The artifact as KFP's executor input tells it."""
        return {
            "name": self.name,
            "type": dict(self.schema),
            "uri": self.uri,
            "metadata": dict(self.metadata),
        }

    def record(self) -> ArtifactRecord:
        return ArtifactRecord(uri=self.uri, sha256=self.digest, metadata=dict(self.metadata))


def local_path(uri: str) -> Path | None:
    """The path that a URI stands for, or None where it is not on this machine."""
    scheme = urlparse(uri).scheme
    if scheme == "file":
        return Path(unquote(urlparse(uri).path))
    return None if scheme else Path(uri)


def digest_of(uri: str) -> str:
    """The identity of what is at `uri`: of its bytes where they are local, else of the URI itself.

    A folder's identity covers the relative paths and bytes of its files. "" where nothing is there.
    """
    path = local_path(uri)
    if path is None:
        return hashlib.sha256(f"uri {uri}".encode()).hexdigest()
    if path.is_dir():
        return folder_digest({name: file_digest(file) for name, file in files_below(path)})
    return file_digest(path) if path.is_file() else ""


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """(path relative to `folder` with forward slashes, file) of every file, in no particular order.

    Links to files count as files; links to folders are not followed.
    """
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            if file.is_file():
                yield file.relative_to(folder).as_posix(), file


def folder_digest(files: Mapping[str, str]) -> str:
    """The identity of a folder from the digests of its files by relative path."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(f"folder\n{lines}".encode()).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
