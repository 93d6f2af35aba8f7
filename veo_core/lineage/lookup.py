"""Finding single rows of a run's tables, by the order and the columns of Parquet.

A file's footer tells the smallest and the largest value of each column in each group of rows, so a value of
the column by which a table is ordered costs one group; any other column is read alone, and whole rows only
where it fits.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.records.tables import rows_of
from veo_core.storage import Store

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
    wanted = pa.array(values, pa.string())
    return Where(column, min(values), max(values), lambda texts: pc.is_in(texts, value_set=wanted))


def begins(column: str, prefix: str) -> Where:
    """The column begins with `prefix`."""
    return Where(column, prefix, prefix + _LAST, lambda texts: pc.starts_with(texts, pattern=prefix))


def ends(column: str, suffix: str) -> Where:
    """The column ends with `suffix`."""
    return Where(column, "", _LAST, lambda texts: pc.ends_with(texts, pattern=suffix))


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
        self._files: dict[str, pq.ParquetFile] = {}

    def __enter__(self) -> "Lookup":
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.close()
        self._folder.cleanup()

    def matching(self, ref: TableRef, where: Where, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """`columns`, by their paths, of the rows that fulfil `where`."""
        found: list[tuple[Any, ...]] = []
        with self._reading(ref) as file:
            table = _rows(file, where, columns)
            found = list(zip(*(_leaf(table, path).to_pylist() for path in columns), strict=True))
        return found

    def records(
        self, ref: TableRef, column: str, values: Sequence[str], record: type[RecordT]
    ) -> Iterator[RecordT]:
        """The rows whose `column` has one of `values`."""
        found: list[RecordT] = []
        if values:
            with self._reading(ref) as file:
                found = list(rows_of(_rows(file, equals(column, *values), None), record))
        yield from found

    def counts(self, ref: TableRef, columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
        """How many rows have each combination of values of `columns`."""
        found: Counter[tuple[Any, ...]] = Counter()
        with self._reading(ref) as file:
            table = file.read(columns=list(columns), use_threads=False)
            named = pa.table({path: _leaf(table, path) for path in columns})
            grouped = named.group_by(list(columns)).aggregate([([], "count_all")])
            keys = zip(*(grouped[path].to_pylist() for path in columns), strict=True)
            found.update(dict(zip(keys, grouped["count_all"].to_pylist(), strict=True)))
        return found

    def columns(self, ref: TableRef) -> list[str]:
        """The paths of all columns, nested ones by their leaves."""
        found: list[str] = []
        with self._reading(ref) as file:
            found = [file.schema.column(index).path for index in range(len(file.schema))]
        return found

    @contextmanager
    def _reading(self, ref: TableRef) -> Iterator[pq.ParquetFile]:
        """The table's file; what is wrong with it is told in one line."""
        try:
            if ref.path not in self._files:
                self._files[ref.path] = pq.ParquetFile(self._store.local_path(ref, Path(self._folder.name)))
            yield self._files[ref.path]
        except (pa.ArrowException, OSError, ValidationError, UsageError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            problem = f"table {ref.path} cannot be read: {first}"
            if not self._forgiving:
                raise UsageError(problem) from None
            if problem not in self.problems:
                self.problems.append(problem)


def _rows(file: pq.ParquetFile, where: Where, columns: Sequence[str] | None) -> pa.Table:
    """`columns` of the rows that fulfil a condition, all columns where None."""
    hits = _hits(file, where)
    table = file.read_row_groups(list(hits), columns and list(columns), use_threads=False)
    return table.filter(pa.concat_arrays(hits.values())) if hits else table


def _hits(file: pq.ParquetFile, where: Where) -> dict[int, pa.Array]:
    """The groups of rows with one that fulfils a condition, and which rows of the group do."""
    possible = [group for group in range(file.num_row_groups) if _may_hold(file, group, where)]
    mask = _fitting(file.read_row_groups(possible, [where.column], use_threads=False), where)
    masks, start = {}, 0
    for group in possible:
        rows = file.metadata.row_group(group).num_rows
        masks[group] = mask.slice(start, rows)
        start += rows
    return {group: found for group, found in masks.items() if pc.any(found).as_py()}


def _may_hold(file: pq.ParquetFile, group: int, where: Where) -> bool:
    schema = file.schema
    index = next(i for i in range(len(schema)) if schema.column(i).path == where.column)
    found = file.metadata.row_group(group).column(index).statistics
    if found is None or not found.has_min_max:
        return True
    return bool(found.min <= where.high and found.max >= where.low)


def _fitting(table: pa.Table, where: Where) -> pa.Array:
    """Which rows of a table fulfil a condition: in a list, one text that fits is enough."""
    if not table.num_rows:
        return pa.array([], pa.bool_())
    values = table.column(0).combine_chunks()
    parents: pa.Array | None = None
    while not pa.types.is_string(values.type):
        if pa.types.is_list(values.type):
            of = pc.list_parent_indices(values)
            parents = of if parents is None else parents.take(of)
            values = values.flatten()
        else:
            values = pc.struct_field(values, [0])
    fits = pc.fill_null(where.fits(values), fill_value=False)
    if parents is None:
        return fits
    rows = pc.unique(parents.filter(fits))
    return pc.is_in(pa.array(range(table.num_rows), parents.type), value_set=rows)


def _leaf(table: pa.Table, path: str) -> pa.ChunkedArray:
    """The column at a path of structures."""
    name, *inner = path.split(".")
    column = table[name]
    return pc.struct_field(column, inner) if inner else column
