"""Parquet tables of records, with a schema derived from the record's type."""

import io
import types
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.records.base import Record

RecordT = TypeVar("RecordT", bound=Record)

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


def table_to_bytes(rows: Sequence[Record], record: type[Record]) -> bytes:
    """Rows as a Parquet file; equal rows give equal bytes."""
    dumped = [row.model_dump(mode="json") for row in rows]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(dumped, schema=arrow_schema(record)), sink, compression="zstd")
    return sink.getvalue()


def table_from_bytes(data: bytes, record: type[RecordT]) -> list[RecordT]:
    """The rows of a Parquet file written by `table_to_bytes`."""
    rows = pq.read_table(io.BytesIO(data)).to_pylist(maps_as_pydicts="strict")
    return [record.model_validate(row) for row in rows]


def sorted_by(rows: Iterable[RecordT], *fields: str) -> list[RecordT]:
    """Rows in the order of the named fields, so that tables do not depend on the order of work."""
    return sorted(rows, key=lambda row: tuple(getattr(row, field) for field in fields))
