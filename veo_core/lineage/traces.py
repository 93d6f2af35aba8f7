"""Where a source left traces: rows of tables that name it, whatever the tables are."""

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from veo_core.records.base import Record

Row = dict[str, Any]

_BATCH_ROWS = 1024
_GIVEN = {"i2v", "v2a", "a2v"}
"""Modes of generated clips that hold a picture, all pictures or the sound of the clip with their caption."""
_REF = {"path", "sha256", "bytes"}


class Traces(Record):
    """What names a forgotten source and everything that was made of it."""

    sources: set[str] = Field(description="source ids")
    files: set[str] = Field(default_factory=set, description="sha256 of source files")
    names: set[str] = Field(default_factory=set, description="file names and pages")
    clips: set[str] = Field(default_factory=set, description="ids of clips, and of clips generated from them")
    captions: set[str] = Field(default_factory=set)
    objects: dict[str, str] = Field(default_factory=dict, description="sha256 of stored files by their path")

    @property
    def tokens(self) -> set[str]:
        """Texts of which a row that has to do with the source holds at least one."""
        return self.sources | self.clips | self.files | self.captions | set(self.objects.values())

    @property
    def identifiers(self) -> set[str]:
        """Texts that never occur in anything else."""
        return self.sources | self.clips | self.files

    def owns(self, row: Row) -> bool:
        """Whether a row is about the source, not merely compared with it."""
        source = row.get("source")
        owner = source.get("source_id") if isinstance(source, dict) else source
        if owner in self.sources or row.get("source_id") in self.sources or row.get("clip_id") in self.clips:
            return True
        return row.get("mode") in _GIVEN and row.get("prompt") in self.captions

    def learn(self, row: Row) -> "Traces":
        """These traces with the ids and files that a row of the source adds."""
        clip = row["clip"] if isinstance(row.get("clip"), dict) else row
        source = row if "source_id" in row else row.get("source")
        source = source if isinstance(source, dict) else {}
        item = row.get("item")
        return Traces(
            sources=self.sources,
            files=self.files | _texts(source.get("file", {}).get("sha256")),
            names=self.names | _texts(source.get("name"), source.get("source_url")),
            clips=self.clips | _texts(clip.get("clip_id"), item if item not in self.sources else None),
            captions=self.captions | _texts((clip.get("annotation") or {}).get("caption")),
            objects=self.objects | dict(_refs(row)),
        )


def _texts(*values: str | None) -> set[str]:
    return {value for value in values if value}


def _refs(value: Any) -> Iterator[tuple[str, str]]:
    """Path and sha256 of every file that a row refers to."""
    if isinstance(value, dict):
        if value.keys() >= _REF:
            yield value["path"], value["sha256"]
        else:
            for part in value.values():
                yield from _refs(part)
    elif isinstance(value, list):
        for part in value:
            yield from _refs(part)


def mentioning(source: Path | pa.BufferReader, tokens: Set[str]) -> Iterator[Row]:
    """The rows of a Parquet file that hold one of `tokens` as a text, at any depth."""
    values = pa.array(sorted(tokens), pa.string())
    for batch in batches(source):
        mask = mentions(batch, values)
        if mask.any():
            yield from batch.filter(pa.array(mask)).to_pylist(maps_as_pydicts="strict")


def batches(source: Path | pa.BufferReader) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(source) as file:
        yield from file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)


def mentions(batch: pa.RecordBatch, tokens: pa.Array) -> npt.NDArray[np.bool_]:
    """Which rows hold one of `tokens` as a text, at any depth: bool [rows]."""
    mask = np.zeros(batch.num_rows, bool)
    rows = np.arange(batch.num_rows)
    for column in batch.columns:
        _mark(column, rows, tokens, mask)
    return mask


def _mark(array: pa.Array, rows: npt.NDArray[Any], tokens: pa.Array, mask: npt.NDArray[np.bool_]) -> None:
    if pa.types.is_string(array.type):
        hits = pc.is_in(array, value_set=tokens).to_numpy(zero_copy_only=False)
        mask[rows[hits.astype(bool)]] = True
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            _mark(child, rows, tokens, mask)
    elif pa.types.is_list(array.type):
        parents = pc.list_parent_indices(array).to_numpy()
        _mark(array.flatten(), rows[parents], tokens, mask)
