"""Finding single rows of a run's tables, by the order and the columns of Parquet."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.records.tables import rows_of
from veo_core.storage import Store

RecordT = TypeVar("RecordT", bound=Record)

_PAST_HEXADECIMAL = "g"


class Lookup:
    """Rows of stored tables. Tables of a remote store are downloaded once, while the block lasts.

    Args:
        store: where the tables are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = tempfile.TemporaryDirectory(prefix="veo-lookup-")

    def __enter__(self) -> "Lookup":
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def matching(
        self, ref: TableRef, condition: pc.Expression, columns: Sequence[str]
    ) -> list[tuple[str, ...]]:
        """`columns` of the rows that fulfil `condition`."""
        return _tuples(self._read(ref, condition, columns), columns)

    def records(
        self, ref: TableRef, column: str, values: Sequence[str], record: type[RecordT]
    ) -> Iterator[RecordT]:
        """The rows whose `column` has one of `values`."""
        if values:
            yield from rows_of(self._read(ref, pc.field(column).isin(list(values)), None), record)

    def _read(self, ref: TableRef, condition: pc.Expression, columns: Sequence[str] | None) -> pa.Table:
        path = self._store.local_path(ref, Path(self._folder.name))
        return pq.read_table(path, columns=columns and list(columns), filters=condition)


def begins(column: str, prefix: str) -> pc.Expression:
    """The condition that a hexadecimal column begins with `prefix`, which the order of a table makes fast."""
    field = pc.field(column)
    return (field >= prefix) & (field < prefix + _PAST_HEXADECIMAL)


def _tuples(table: pa.Table, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))
