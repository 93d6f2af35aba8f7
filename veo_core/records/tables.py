"""Parquet tables of records, with a schema derived from the record's type."""

import io
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.records.base import Record

RecordT = TypeVar("RecordT", bound=Record)

GROUP_ROWS = 256
_SCALARS: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def arrow_schema(record: type[Record]) -> pa.Schema:
    """The Arrow schema of a record type."""
    return pa.schema([pa.field(name, _arrow_type(f.annotation)) for name, f in record.model_fields.items()])


def _arrow_type(annotation: Any) -> pa.DataType:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _SCALARS[type(arguments[0])]
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        if len(inner) == 1:
            return _arrow_type(inner[0])
    if origin in (list, tuple):
        return pa.list_(_arrow_type(arguments[0]))
    if origin is dict:
        return pa.map_(_arrow_type(arguments[0]), _arrow_type(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return pa.struct([pa.field(n, _arrow_type(f.annotation)) for n, f in annotation.model_fields.items()])
    raise TypeError(f"no Arrow type for {annotation!r}")


class TableWriter(Generic[RecordT]):
    """Writes rows to a Parquet file, a group at a time: memory does not grow with the number of rows.

    Equal rows in equal order give equal bytes, however many calls brought them.

    Args:
        sink: a path, or a binary file to write to.
        record: the type of the rows.
    """

    def __init__(self, sink: Path | BinaryIO, record: type[RecordT]) -> None:
        self._schema = arrow_schema(record)
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd")
        self._group: list[dict[str, Any]] = []
        self.rows = 0

    def add(self, row: RecordT) -> None:
        self._group.append(row.model_dump(mode="json"))
        self.rows += 1
        if len(self._group) == GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file; an empty table is a file, too."""
        if self._group:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._group, schema=self._schema))
        self._group.clear()


def table_to_bytes(rows: Iterable[RecordT], record: type[RecordT]) -> bytes:
    """Rows as a Parquet file; equal rows give equal bytes."""
    sink = io.BytesIO()
    writer = TableWriter(sink, record)
    for row in rows:
        writer.add(row)
    writer.close()
    return sink.getvalue()


def table_from_bytes(data: bytes, record: type[RecordT]) -> list[RecordT]:
    """The rows of a Parquet file written by `table_to_bytes`."""
    return list(read_table(io.BytesIO(data), record))


def read_table(source: Path | BinaryIO, record: type[RecordT]) -> Iterator[RecordT]:
    """The rows of a Parquet file, read a group at a time."""
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=GROUP_ROWS, use_threads=False):
            yield from rows_of(batch, record)


def rows_of(batch: pa.RecordBatch | pa.Table, record: type[RecordT]) -> Iterator[RecordT]:
    """Rows of an Arrow batch or table as records."""
    for row in batch.to_pylist(maps_as_pydicts="strict"):
        yield record.model_validate(row)


def sorted_by(rows: Iterable[RecordT], *fields: str) -> list[RecordT]:
    """Rows in the order of the named fields, so that tables do not depend on the order of work."""
    return sorted(rows, key=lambda row: tuple(getattr(row, field) for field in fields))
