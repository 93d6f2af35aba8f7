"""Downloads under way: bytes that outlive a kill, with what is needed to go on from them."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.records.base import Record, sha256_bytes


class Validators(Record):
    """What names the version of a file that its first bytes are from.

    etag is a strong one (RFC 9110, section 8.8.3), else ""; modified is the Last-Modified date, else "".
    """

    etag: str = ""
    modified: str = ""

    @property
    def if_range(self) -> str:
        """The value of If-Range, "" where a download cannot go on."""
        return self.etag or self.modified


class Partial:
    """The bytes of one download so far.

    Args:
        stream: the open file, locked by this process.
        path: where it lies.
    """

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self.stream = stream
        self.path = path
        self._notes = path.with_suffix(".json")

    def resume(self) -> tuple[int, Validators]:
        """How many bytes are here and which version they are from; without a version there are none."""
        try:
            validators = Validators.model_validate(json.loads(self._notes.read_bytes()))
        except (OSError, ValueError, ValidationError):
            validators = Validators()
        if not validators.if_range:
            self.restart(Validators())
        return self.stream.seek(0, os.SEEK_END), validators

    def restart(self, validators: Validators) -> None:
        """Forget all bytes; those that follow are from the version that `validators` names."""
        self._notes.unlink(missing_ok=True)
        self.stream.seek(0)
        self.stream.truncate()
        self._notes.write_bytes(validators.to_bytes())

    def finish(self, target: Path) -> None:
        """Move the bytes to `target`."""
        self.stream.flush()
        shutil.move(self.path, target)
        self._notes.unlink(missing_ok=True)

    def keep_if_useful(self) -> None:
        """Remove the bytes unless a later try can go on from them."""
        if not self.path.exists():
            return
        have, validators = self.resume()
        if not (have and validators.if_range):
            self.discard()

    def discard(self) -> None:
        """Remove the bytes: they are of no use."""
        self._notes.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


@contextmanager
def open_partial(identity: str) -> Iterator[Partial]:
    """The partial download of what `identity` names; its own file where another process is at it.

    Partial files lie in a folder of this user in the system's temporary folder.

    Raises:
        UsageError: that folder belongs to someone else.
    """
    folder = _own_folder()
    path = folder / f"{sha256_bytes(identity.encode())}.part"
    with path.open("a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not path.exists() or path.stat().st_ino != os.fstat(stream.fileno()).st_ino
        except BlockingIOError:
            taken = True
        if not taken:
            partial = Partial(stream, path)
            try:
                yield partial
            finally:
                partial.keep_if_useful()
            return
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as other:
        partial = Partial(other.file, Path(other.name))  # type: ignore[arg-type]
        try:
            yield partial
        finally:
            partial.discard()


def _own_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"veo-downloads-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise UsageError(f"{folder}: is not a folder of this user alone; remove it or set TMPDIR")
    return folder
