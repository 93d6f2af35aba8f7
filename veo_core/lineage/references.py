"""Every file in a store that a manifest, a table or a JSON file refers to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest

_FIELDS = sorted(FileRef.model_fields)


class Reference(NamedTuple):
    """A file that something refers to. There may be millions, so it is a plain tuple.

    Attributes:
        part: what it is of what refers to it, such as `table clips` or `key_frames of table clips`.
    """

    path: str
    sha256: str
    bytes: int
    part: str

    @property
    def ref(self) -> FileRef:
        return FileRef(path=self.path, sha256=self.sha256, bytes=self.bytes)


def in_manifest(manifest: Manifest) -> Iterator[Reference]:
    """The manifest's tables, files and shards."""
    for name, table in manifest.tables.items():
        yield _reference(table, f"table {name}")
    for name, file in manifest.files.items():
        yield _reference(file, f"file {name}")
    for index, shard in enumerate(manifest.shards):
        yield _reference(shard, f"shard {index}")


def in_table(path: Path, part: str) -> Iterator[Reference]:
    """The files that the rows of a Parquet file refer to; one file may come several times.

    Raises:
        OSError: the file cannot be read.
        pyarrow.ArrowException: it is no Parquet file.
    """
    with pq.ParquetFile(path) as table:
        for column in [field.name for field in table.schema_arrow if _holds_refs(field.type)]:
            for batch in table.iter_batches(columns=[column], use_threads=False):
                for name, array in _refs(batch.column(0), column):
                    yield from _references(array, f"{name} of {part}")


def in_json(data: bytes, part: str) -> Iterator[Reference]:
    """The files that a JSON document refers to, at any depth; none where it is no JSON."""
    try:
        yield from _in_value(json.loads(data), "", part)
    except ValueError:
        return


def _in_value(value: Any, name: str, part: str) -> Iterator[Reference]:
    if isinstance(value, dict):
        path, digest, size = (value.get(field) for field in ("path", "sha256", "bytes"))
        if isinstance(path, str) and isinstance(digest, str) and isinstance(size, int):
            yield Reference(path, digest, size, f"{name} of {part}" if name else part)
            return
        for key, item in value.items():
            yield from _in_value(item, key, part)
    elif isinstance(value, list):
        for item in value:
            yield from _in_value(item, name, part)


def _reference(ref: FileRef, part: str) -> Reference:
    return Reference(ref.path, ref.sha256, ref.bytes, part)


def _holds_refs(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return _is_ref(kind) or any(_holds_refs(field.type) for field in kind)
    return pa.types.is_list(kind) and _holds_refs(kind.value_type)


def _is_ref(kind: pa.DataType) -> bool:
    return {field.name for field in kind} >= set(_FIELDS)


def _refs(array: pa.Array, name: str) -> Iterator[tuple[str, pa.StructArray]]:
    """Every array of references inside a column, with the dotted name of its place."""
    if pa.types.is_list(array.type):
        yield from _refs(array.flatten(), name)
    elif _is_ref(array.type):
        yield name, array
    else:
        for field, child in zip(array.type, array.flatten(), strict=True):
            if _holds_refs(field.type):
                yield from _refs(child, f"{name}.{field.name}")


def _references(array: pa.StructArray, part: str) -> Iterator[Reference]:
    columns = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
    rows = zip(*(columns[name].to_pylist() for name in ("path", "sha256", "bytes")), strict=True)
    return (Reference(path, digest, size, part) for path, digest, size in rows if path is not None)
