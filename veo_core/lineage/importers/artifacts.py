"""Reading what a platform's tasks published: small files below the root that the run's pipeline had."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import fsspec

from veo_core.errors import UsageError
from veo_core.storage.access import access_to

_SCHEMES = ("gs://", "s3://", "minio://")
_MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class ArtifactFolder:
    """The artifacts of a run.

    Args:
        root: where the platform put them, such as gs://bucket/pipelines; nothing else is read.
        copy: where they are read instead, such as a folder with a copy; empty for the root itself. What is at
            `minio://` is read by S3, at the address that AWS_ENDPOINT_URL names.
    """

    root: str
    copy: str = ""

    def read(self, uri: str) -> bytes:
        """The bytes of an artifact.

        Raises:
            UsageError: it is not below the root, is missing, cannot be read, or is larger than artifacts of
                this product are.
        """
        fs, path = self._open(self._place(uri))
        with _explained(uri):
            if fs.size(path) > _MOST_BYTES:
                raise UsageError(f"{uri}: larger than {_MOST_BYTES} bytes: no artifact of this product")
            data: bytes = fs.cat_file(path)
        return data

    def below(self, folder: str) -> list[str]:
        """URIs of everything below a folder of the root; none where it is not there.

        Raises:
            UsageError: it cannot be listed.
        """
        place = self._place(folder)
        fs, path = self._open(place)
        with _explained(folder):
            found = [str(name) for name in fs.find(path)]
        return sorted(f"{folder}{name[len(path.rstrip('/')) :]}" for name in found)

    def _place(self, uri: str) -> str:
        root = self.root.rstrip("/")
        tail = uri.removeprefix(root)
        if not root or tail == uri or ".." in PurePosixPath(tail).parts or not tail.startswith("/"):
            raise UsageError(f"{uri} is not below the run's root {self.root or '(which is not told)'}")
        if not self.copy and not root.startswith(_SCHEMES):
            raise UsageError(f"{uri}: give the folder of a copy; this place is not read")
        place = f"{(self.copy or root).rstrip('/')}{tail}"
        return place.replace("minio://", "s3://", 1)

    def _open(self, place: str) -> tuple[Any, str]:
        try:
            fs, path = fsspec.core.url_to_fs(place, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{place}: {error}") from None
        return fs, str(path)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Says in one line why a place cannot be read."""
    try:
        with access_to(uri):
            yield
    except FileNotFoundError:
        raise UsageError(f"{uri}: there is nothing") from None
    except OSError as error:
        raise UsageError(f"{uri}: cannot be read: {error}") from None
