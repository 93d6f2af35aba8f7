"""References to stored objects."""

from veo_core.records.base import Record


class FileRef(Record):
    """An object in the store, named by its content so that it never changes.

    `path` is relative to the store's root: a manifest means the same on a laptop and in a bucket.
    """

    path: str
    sha256: str
    bytes: int


class TableRef(FileRef):
    """A Parquet table in the store."""

    rows: int
