"""Finding single rows of a run's tables, by the order and the columns of Parquet.

A file's footer tells the smallest and the largest value of each column in each group of rows, so a value of
the column by which a table is ordered costs one group; any other column is read alone, and whole rows only
where it fits.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.records.tables import rows_of
from veo_core.storage import Store

T = TypeVar("T")
RecordT = TypeVar("RecordT", bound=Record)

_LAST = "\U0010ffff"


@dataclass(frozen=True)
class Where:
    """A condition on a column of texts, or on texts at any depth of it.

    Attributes:
        column: its path, such as "source.source_id" or "key_frames.list.element.sha256".
        low: no text that fits is below it; "" where nothing is known.
        high: no text that fits is above it.
        fits: whether each of an array of texts fits.
    """

    column: str
    low: str
    high: str
    fits: Callable[[pa.Array], pa.Array]


def equals(column: str, *values: str) -> Where:
    """The column has one of `values`."""
    wanted = _texts(values)
    return Where(column, min(values), max(values), lambda texts: pc.is_in(texts, value_set=wanted))


def _texts(values: Sequence[str]) -> pa.Array:
    """Texts as an array. `pa.array` would import pandas, which takes longer than most look-ups."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def begins(column: str, prefix: str) -> Where:
    """The column begins with `prefix`."""
    return Where(column, prefix, prefix + _LAST, lambda texts: pc.starts_with(texts, pattern=prefix))


def ends(column: str, suffix: str) -> Where:
    """The column ends with `suffix`."""
    return Where(column, "", _LAST, lambda texts: pc.ends_with(texts, pattern=suffix))


class _OpenTable:
    """A Parquet file, with the ranges of its groups of rows, which are slow to ask for again."""

    def __init__(self, path: Path) -> None:
        self.file = pq.ParquetFile(path)
        self._ranges: dict[str, list[tuple[str, str]]] = {}

    @property
    def columns(self) -> list[str]:
        """The paths of all columns, nested ones by their leaves."""
        return [self.file.schema.column(index).path for index in range(len(self.file.schema))]

    def ranges(self, column: str) -> list[tuple[str, str]]:
        """The least and the greatest text of a column in each group of rows."""
        if column not in self._ranges:
            index, metadata = self.columns.index(column), self.file.metadata
            groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
            self._ranges[column] = [_range(group.column(index).statistics) for group in groups]
        return self._ranges[column]


def _range(statistics: Any) -> tuple[str, str]:
    known = statistics is not None and statistics.has_min_max
    return (statistics.min, statistics.max) if known else ("", _LAST)


class Lookup:
    """Rows of stored tables. Tables of a remote store are downloaded once, while the block lasts.

    Args:
        store: where the tables are.
        forgiving: a table that is missing or cannot be read has no rows, and `problems` says so; otherwise
            it raises UsageError.
    """

    def __init__(self, store: Store, *, forgiving: bool = False) -> None:
        self.problems: list[str] = []
        self._store = store
        self._forgiving = forgiving
        self._folder = tempfile.TemporaryDirectory(prefix="veo-lookup-")
        self._tables: dict[str, _OpenTable] = {}

    def __enter__(self) -> "Lookup":
        return self

    def __exit__(self, *error: object) -> None:
        for table in self._tables.values():
            table.file.close()
        self._folder.cleanup()

    def matching(self, ref: TableRef, where: Where, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """`columns`, by their paths, of the rows that fulfil `where`."""

        def read(table: _OpenTable) -> list[tuple[Any, ...]]:
            rows = _rows(table, where, columns)
            return list(zip(*(_leaf(rows, path).to_pylist() for path in columns), strict=True))

        return self._told(ref, read, [])

    def records(
        self, ref: TableRef, column: str, values: Sequence[str], record: type[RecordT]
    ) -> list[RecordT]:
        """The rows whose `column` has one of `values`."""
        if not values:
            return []
        where = equals(column, *values)
        return self._told(ref, lambda table: list(rows_of(_rows(table, where, None), record)), [])

    def counts(self, ref: TableRef, columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
        """How many rows have each combination of values of `columns`."""
        grouped = self.grouped(ref, columns)
        keys = zip(*(grouped[path].to_pylist() for path in columns), strict=True)
        return Counter(dict(zip(keys, grouped["rows"].to_pylist(), strict=True)))

    def grouped(self, ref: TableRef, columns: Sequence[str]) -> pa.Table:
        """Each combination of values of `columns`, by their paths, with how many `rows` have it."""

        def read(table: _OpenTable) -> pa.Table:
            rows = table.file.read(columns=list(columns), use_threads=False)
            return _grouped(pa.table({path: _leaf(rows, path).combine_chunks() for path in columns}))

        return self._told(
            ref, read, pa.table({path: pa.nulls(0, pa.string()) for path in (*columns, "rows")})
        )

    def columns(self, ref: TableRef) -> list[str]:
        """The paths of all columns, nested ones by their leaves."""
        return self._told(ref, lambda table: table.columns, [])

    def _told(self, ref: TableRef, read: Callable[[_OpenTable], T], nothing: T) -> T:
        """What `read` finds in a table; what is wrong with the table is said in one line."""
        try:
            if ref.path not in self._tables:
                self._tables[ref.path] = _OpenTable(self._store.local_path(ref, Path(self._folder.name)))
            return read(self._tables[ref.path])
        except (pa.ArrowException, OSError, ValueError, UsageError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            problem = f"table {ref.path} cannot be read: {first}"
            if not self._forgiving:
                raise UsageError(problem) from None
            if problem not in self.problems:
                self.problems.append(problem)
            return nothing


def _rows(table: _OpenTable, where: Where, columns: Sequence[str] | None) -> pa.Table:
    """`columns` of the rows that fulfil a condition, all columns where None."""
    hits = _hits(table, where)
    rows = table.file.read_row_groups(list(hits), columns and list(columns), use_threads=False)
    return rows.filter(pa.concat_arrays(hits.values())) if hits else rows


def _hits(table: _OpenTable, where: Where) -> dict[int, pa.Array]:
    """The groups of rows with one that fulfils a condition, and which rows of the group do."""
    ranges = table.ranges(where.column)
    possible = [group for group, (low, high) in enumerate(ranges) if low <= where.high and high >= where.low]
    mask = _fitting(table.file.read_row_groups(possible, [where.column], use_threads=False), where)
    masks, start = {}, 0
    for group in possible:
        rows = table.file.metadata.row_group(group).num_rows
        masks[group] = mask.slice(start, rows)
        start += rows
    return {group: found for group, found in masks.items() if pc.any(found).as_py()}


def _fitting(table: pa.Table, where: Where) -> pa.Array:
    """Which rows of a table fulfil a condition: in a list, one text that fits is enough."""
    if not table.num_rows:
        return pa.nulls(0, pa.bool_())
    values = table.column(0).combine_chunks()
    parents: pa.Array | None = None
    while not pa.types.is_string(values.type):
        if pa.types.is_list(values.type):
            of = pc.list_parent_indices(values)
            parents = of if parents is None else parents.take(of)
            values = values.flatten()
        else:
            values = pc.struct_field(values, [0])
    fits = where.fits(values)
    fits = pc.and_kleene(fits, pc.is_valid(fits))  # no text at all does not fit
    if parents is None:
        return fits
    rows = np.zeros(table.num_rows, bool)
    rows[parents.filter(fits).to_pylist()] = True
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), table.num_rows, [None, bits])


def _grouped(table: pa.Table) -> pa.Table:
    """The distinct rows of a table with how many there are of each; `Table.group_by` would import pandas."""
    keys = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        codes = _numbers(column.combine_chunks().dictionary_encode(null_encoding="encode").indices)
        keys = np.unique(keys * (codes.max(initial=0) + 1) + codes, return_inverse=True)[1]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return table.take(_integers(first)).append_column("rows", _integers(counts))


def _numbers(indices: pa.Array) -> npt.NDArray[np.int64]:
    return np.frombuffer(indices.buffers()[1], np.int32, len(indices), 4 * indices.offset).astype(np.int64)


def _integers(values: npt.NDArray[np.int64]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _leaf(table: pa.Table, path: str) -> pa.ChunkedArray:
    """The column at a path of structures."""
    name, *inner = path.split(".")
    column = table[name]
    return pc.struct_field(column, inner) if inner else column
