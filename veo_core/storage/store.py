"""A content-addressed store at a local folder or at a gs:// or s3:// prefix.

Objects are named by the sha256 of their bytes and never change, so writing one twice is harmless and
a reader can always tell whether it got what the manifest promised. Marks are small named entries with
which a stage remembers which shard of its work is done.
"""

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import fsspec

from veo_core.errors import UsageError
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.files import FileRef, TableRef
from veo_core.records.tables import TableWriter, read_columns, read_table
from veo_core.storage.access import access_to

RecordT = TypeVar("RecordT", bound=Record)

# What other processes write must be seen at once: nothing is remembered of what a bucket listed.
_OPTIONS: dict[str, Any] = {"use_listings_cache": False}

_CHUNK = 4 << 20


class StoredTable(TableWriter[RecordT]):
    """A table on its way into a store."""

    ref: TableRef


class Store:
    """Objects and marks below `root`.

    Args:
        root: a local path or a URI that fsspec knows (`gs://bucket/prefix`, `s3://bucket/prefix`).
        written: whether it will be written, too. A local folder that is only read must be there.

    Raises:
        UsageError: the root is empty, is not there or cannot be written, or its protocol has no driver
            installed.
    """

    def __init__(self, root: str, *, written: bool = True) -> None:
        if not root.strip():  # fsspec takes it for the working directory
            raise UsageError("store: its address is empty; name a folder or a URI, or . for this folder")
        self.root = root
        self._opened: tuple[int, Any] | None = None
        try:
            fs, self._base = fsspec.core.url_to_fs(root, **_OPTIONS)
        except (ImportError, ValueError) as error:
            raise UsageError(f"store {root}: {error}") from None
        self._local = isinstance(fs, fsspec.implementations.local.LocalFileSystem)
        if self._local:
            self.root = self._base
        if self._local and not written:
            if not Path(self._base).is_dir():
                raise UsageError(f"store {root}: there is no such folder")
        elif self._local:
            try:
                Path(self._base).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self._base):
                    pass
            except OSError as error:
                raise UsageError(f"store {root}: cannot be written: {error.strerror}") from None

    @property
    def _fs(self) -> Any:
        """The file system, opened anew after a fork, which its connections and their loop do not survive."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), fsspec.core.url_to_fs(self.root, **_OPTIONS)[0])
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def put_bytes(self, data: bytes, suffix: str) -> FileRef:
        """Store `data`; `suffix` (such as ".mp4") tells people and tools what it is."""
        digest = sha256_bytes(data)
        path = f"objects/{digest[:2]}/{digest}{suffix}"
        if not self._exists(path, len(data)):
            self._write(path, data)
        return FileRef(path=path, sha256=digest, bytes=len(data))

    def put_file(self, source: Path, suffix: str | None = None) -> FileRef:
        """Store the content of a local file without holding it in memory."""
        digest = _sha256(source)
        size = source.stat().st_size
        path = f"objects/{digest[:2]}/{digest}{source.suffix if suffix is None else suffix}"
        if not self._exists(path, size):
            self._upload(source, path)
        return FileRef(path=path, sha256=digest, bytes=size)

    def put_table(self, rows: Iterable[RecordT], record: type[RecordT]) -> TableRef:
        """Store records as a Parquet table, without holding them in memory."""
        with self.write_table(record) as table:
            for row in rows:
                table.add(row)
        return table.ref

    @contextmanager
    def write_table(self, record: type[RecordT]) -> Iterator["StoredTable[RecordT]"]:
        """A Parquet table to add rows to; its `ref` is set when the block ends without an error."""
        with tempfile.TemporaryDirectory(prefix="veo-table-") as folder:
            path = Path(folder) / "table.parquet"
            table = StoredTable(path, record)
            yield table
            table.close()
            ref = self.put_file(path)
            table.ref = TableRef(path=ref.path, sha256=ref.sha256, bytes=ref.bytes, rows=table.rows)

    def has(self, ref: FileRef) -> bool:
        """Whether the object is there in its full size; its bytes are not looked at."""
        return self._exists(ref.path, ref.bytes)

    def digest_of(self, path: str) -> tuple[str, int]:
        """sha256 and size in bytes of an object as it is now, read in bounded memory.

        Raises:
            FileNotFoundError: there is no such object.
            UsageError: access to the store is denied.
            OSError: it cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        with self._reached(), self._fs.open(f"{self._base}/{path}", "rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return digest.hexdigest(), size

    def get_bytes(self, ref: FileRef) -> bytes:
        """The bytes of an object, verified against its digest.

        Raises:
            UsageError: the object is missing or was altered, or its path leads out of the store.
        """
        place = self._place(ref)
        try:
            with self._reached():
                data: bytes = self._fs.cat_file(place)
        except FileNotFoundError:
            raise self._missing(ref) from None
        if sha256_bytes(data) != ref.sha256:
            raise self._altered(ref)
        return data

    def _place(self, ref: FileRef) -> str:
        """Where an object is; a path that leads out of the store, as a damaged table may hold, is refused."""
        path = PurePosixPath(ref.path)
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"store {self.root}: object {ref.path!r}: its path leads out of the store")
        return f"{self._base}/{ref.path}"

    def _missing(self, ref: FileRef) -> UsageError:
        return UsageError(f"store {self.root}: object {ref.path} is missing")

    def _altered(self, ref: FileRef) -> UsageError:
        return UsageError(f"store {self.root}: object {ref.path} was altered: its sha256 does not match")

    def get_table(self, ref: FileRef, record: type[RecordT]) -> list[RecordT]:
        """The rows of a stored table, all in memory."""
        return list(self.stream_table(ref, record))

    def stream_table(self, ref: FileRef, record: type[RecordT]) -> Iterator[RecordT]:
        """The rows of a stored table in bounded memory, after the whole of it is verified.

        Raises:
            UsageError: the object is missing or was altered.
        """
        with self._verified(ref) as path:
            yield from read_table(path, record)

    def stream_columns(self, ref: FileRef, columns: list[str]) -> Iterator[dict[str, Any]]:
        """Some columns of a stored table, row by row, after the whole of it is verified.

        Args:
            ref: the table.
            columns: their names; `a.b` is the field `b` of the structure `a`.

        Raises:
            UsageError: the object is missing or was altered.
        """
        with self._verified(ref) as path:
            yield from read_columns(path, columns)

    @contextmanager
    def _verified(self, ref: FileRef) -> Iterator[Path]:
        """A local file with the object's bytes, which were verified."""
        with tempfile.TemporaryDirectory(prefix="veo-table-") as folder:
            path = self.local_path(ref, Path(folder))
            if self._local and _sha256(path) != ref.sha256:
                raise self._altered(ref)
            yield path

    def local_path(self, ref: FileRef, folder: Path) -> Path:
        """A local file with the object's bytes: the object itself, or a verified download into `folder`.

        Raises:
            UsageError: the object is missing, what was downloaded was altered, or its path leads out of the
                store.
        """
        place = self._place(ref)
        if self._local:
            if not Path(place).is_file():
                raise self._missing(ref)
            return Path(place)
        target = folder / Path(ref.path).name
        if not target.exists():
            part = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
            try:
                with self._reached():
                    self._fs.get_file(place, str(part))
            except FileNotFoundError:
                raise self._missing(ref) from None
            if _sha256(part) != ref.sha256:
                raise self._altered(ref)
            part.replace(target)
        return target

    def set_mark(self, key: str, data: bytes) -> None:
        """Atomically publish the mark `key`."""
        self._write(f"marks/{key}", data)

    def get_mark(self, key: str) -> bytes | None:
        """The content of the mark `key`, or None where it was never set."""
        try:
            with self._reached():
                data: bytes = self._fs.cat_file(f"{self._base}/marks/{key}")
        except FileNotFoundError:
            return None
        return data

    def objects(self) -> list[str]:
        """Paths of all objects, and of what a killed write left (its name begins with a dot)."""
        return self._list("objects")

    def marks(self, below: str = "") -> list[str]:
        """Keys of all marks, or of those below a first part of keys."""
        return [path.removeprefix("marks/") for path in self._list(f"marks/{below}".rstrip("/"))]

    def remove_object(self, path: str) -> None:
        """Delete an object for good; one that is gone already is none."""
        self._remove(path)

    def remove_mark(self, key: str) -> None:
        """Delete a mark; one that is gone already is none."""
        self._remove(f"marks/{key}")

    def _list(self, folder: str) -> list[str]:
        with self._reached():
            found = self._fs.find(f"{self._base}/{folder}")
        return sorted(str(path).removeprefix(f"{self._base}/") for path in found)

    def _remove(self, path: str) -> None:
        try:
            with self._reached():
                self._fs.rm_file(f"{self._base}/{path}")
        except FileNotFoundError:
            return

    def _exists(self, path: str, size: int) -> bool:
        try:
            with self._reached():
                return bool(self._fs.size(f"{self._base}/{path}") == size)
        except FileNotFoundError:
            return False

    def _write(self, path: str, data: bytes) -> None:
        if not self._local:
            with self._written():
                self._fs.pipe_file(f"{self._base}/{path}", data)
            return
        target = Path(self._base) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target) as part:
            part.write_bytes(data)

    def _upload(self, source: Path, path: str) -> None:
        if not self._local:
            with self._written():
                self._fs.put_file(str(source), f"{self._base}/{path}")
            return
        target = Path(self._base) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target) as part:
            self._fs.cp_file(str(source), str(part))

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Explains why the store cannot be written."""
        try:
            with self._reached():
                yield
        except FileNotFoundError:
            raise UsageError(f"store {self.root}: cannot be written: there is no such bucket") from None

    def _reached(self) -> AbstractContextManager[None]:
        return access_to(f"store {self.root}")


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A file to write, which becomes `target` once it is whole; what a full disk cut short is removed."""
    part = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex}")
    try:
        yield part
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
