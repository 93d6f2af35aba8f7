"""Records in a file, one a line, each on the disk before the next is taken."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.records.base import Record

RecordT = TypeVar("RecordT", bound=Record)


def append_record(path: Path, record: Record) -> None:
    """Add a record; it is on the disk when this returns. A line that a crash cut short makes room for it."""
    with path.open("a+b") as stream:
        stream.seek(0)
        before, newline, tail = stream.read().rpartition(b"\n")
        if _fits(type(record), tail):
            stream.write(b"\n")
        elif tail:
            stream.truncate(len(before + newline))
        stream.write(record.to_bytes() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_records(path: Path, kind: type[RecordT], *, what: str) -> list[RecordT]:
    """The records of a file; none where there is no file. A last line cut short is left out.

    Args:
        path: the file.
        kind: the type of its records.
        what: what errors call a record.

    Raises:
        UsageError: the file cannot be read, or a line other than the last is no such record.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError:
            if number < len(lines):
                raise UsageError(f"{path}: line {number} is no {what}") from None
    return records


def _fits(kind: type[Record], line: bytes) -> bool:
    try:
        kind.model_validate_json(line)
    except ValidationError:
        return False
    return True
