"""References to stored objects."""

from pydantic import field_validator

from veo_core.records.base import Record


class FileRef(Record):
    """An object in the store, named by its content so that it never changes.

    `path` is relative to the store's root: a manifest means the same on a laptop and in a bucket.
    """

    path: str
    sha256: str
    bytes: int

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path!r} leads out of the store")
        return path


class TableRef(FileRef):
    """A Parquet table in the store."""

    rows: int
