"""A columnar index of a run's clips: one row for each, from all ledgers and tables of clips.

Kept as an Arrow file beside the run under the digests of what it was made from, and mapped into memory.
"""

import contextlib
import hashlib
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.explorer.library import Run
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.clip import Signals
from veo_core.records.files import TableRef

_LAYOUT = 4
"""Of the index; another one is built anew."""

_HANDED_ON = ("dedup", "safety_filter")
"""Stages that leave out clips and change none: their tables tell nothing that earlier ones do not."""

_LEDGER = ("item", "source", "stage", "verdict", "rule", "value", "threshold", "evidence", "partner")
_SIGNALS = tuple(name for name in Signals.model_fields if name != "has_audio")
_SOURCE = ("name", "origin", "licence_id", "author", "caption")
_FACTS = ("seconds", "width", "height", "fps")
_ENCODED = (
    "verdict", "stage", "rule", "split", "bucket", "shard", "licence", "origin", "author",
    "codec", "made_by", "sound", "judge", "suffix", "frame_suffix",
)  # fmt: skip
"""Columns of few different values, kept as dictionaries."""


class ClipIndex:
    """The rows of an index.

    Args:
        rows: all of them, in one batch.
        notes: tables that could not be read.
    """

    def __init__(self, rows: pa.RecordBatch, notes: Sequence[str] = ()) -> None:
        self.rows = rows
        self.notes = list(notes)

    @classmethod
    def read(cls, path: Path) -> "ClipIndex":
        """The index in a file, mapped into memory."""
        with pa.memory_map(str(path)) as source:
            return cls(pa.ipc.open_file(source).get_batch(0))

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def strings(self, name: str) -> pa.Array:
        return self.rows.column(name)

    def codes(self, name: str) -> tuple[npt.NDArray[np.int32], list[str]]:
        """A column of few values: the number of each row's value, and the values."""
        column = self.rows.column(name)
        return column.indices.to_numpy(zero_copy_only=False), column.dictionary.to_pylist()

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A numeric column, NaN where not known."""
        found: npt.NDArray[np.float64] = self.rows.column(name).to_numpy(zero_copy_only=False)
        return found

    def find(self, prefix: str) -> list[int]:
        """Rows whose id begins with `prefix`."""
        return list(np.flatnonzero(pc.starts_with(self.strings("id"), prefix).to_numpy(zero_copy_only=False)))


def open_index(run: Run) -> ClipIndex:
    """The index of a run's clips, built where there is none yet.

    Tables that cannot be read are left out and told in its notes; such an index is not kept.
    """
    folder = run.cache_folder()
    path = folder / f"clips-{_key(run.evidence)}.arrow"
    with contextlib.suppress(FileNotFoundError):
        return ClipIndex.read(path)
    known = len(run.evidence.notes)
    batch = _build(run.evidence)
    if unread := run.evidence.notes[known:]:
        return ClipIndex(batch, list(dict.fromkeys(unread)))
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    index = ClipIndex.read(part)
    part.replace(path)
    for old in folder.glob("clips-*.arrow"):
        if old != path:
            old.unlink(missing_ok=True)
    return index


def _key(evidence: Evidence) -> str:
    parts = [str(_LAYOUT)]
    for stage in evidence.stages:
        if stage.manifest is not None:
            parts += [
                ref.sha256
                for name, ref in stage.manifest.tables.items()
                if name in ("ledger", "clips", "sources")
            ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _build(evidence: Evidence) -> pa.RecordBatch:
    with tempfile.TemporaryDirectory(prefix="veo-index-") as folder:
        reader = _Reader(evidence, Path(folder))
        fates = _last_fates(reader.ledgers())
        clips = reader.clips(fates["item"])
        sources = reader.sources()
        return _joined(fates, clips, sources)


class _Reader:
    """Columns of a run's tables."""

    def __init__(self, evidence: Evidence, folder: Path) -> None:
        self._evidence, self._folder = evidence, folder
        self._opened: dict[str, pq.ParquetFile] = {}

    def ledgers(self) -> pa.Table:
        """All decisions in the order of the run."""
        schema = pa.schema([(name, pa.string()) for name in _LEDGER])
        found = [self._read(stage, "ledger", _LEDGER) for stage, _ in self._evidence.with_table("ledger")]
        return pa.concat_tables([schema.empty_table(), *(t.cast(schema) for t in found if t is not None)])

    def clips(self, wanted: pa.ChunkedArray) -> pa.Table:
        """Each clip as the last stage that kept it left it, flat."""
        left = wanted.combine_chunks()
        parts = [_flat_clips(pa.table({"clip_id": pa.array([], pa.string())}))]
        for stage, manifest in reversed(list(self._evidence.with_table("clips"))):
            if not len(left):
                break
            if manifest.stage in _HANDED_ON:
                continue
            ids = self._read(stage, "clips", ["clip_id"])
            if ids is None:
                continue
            new = pc.is_in(ids["clip_id"], value_set=left)
            if not pc.any(new).as_py():
                continue
            table = self._read(stage, "clips", _clip_columns(manifest.tables["clips"]))
            if table is not None:
                parts.append(_flat_clips(table.filter(new)))
                left = left.filter(pc.invert(pc.is_in(left, value_set=parts[-1]["clip_id"].combine_chunks())))
        return pa.concat_tables(parts)

    def sources(self) -> pa.Table:
        columns = ("source_id", *_SOURCE)
        schema = pa.schema([(name, pa.string()) for name in columns])
        found = [self._read(stage, "sources", columns) for stage, _ in self._evidence.with_table("sources")]
        return pa.concat_tables([schema.empty_table(), *(t.cast(schema) for t in found if t is not None)])

    def _read(self, stage: StageEvidence, name: str, columns: Sequence[str]) -> pa.Table | None:
        assert stage.manifest is not None
        ref = stage.manifest.tables[name]
        try:
            if ref.path not in self._opened:
                path = self._evidence.store.local_path(ref, self._folder)
                self._opened[ref.path] = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
            return self._opened[ref.path].read(columns=list(columns))
        except (UsageError, OSError, pa.ArrowException) as error:
            self._evidence.notes.append(f"table {ref.path} cannot be shown: {str(error).splitlines()[0]}")
            return None


def _clip_columns(ref: TableRef) -> list[str]:
    return [
        "clip_id",
        *(f"source.{name}" for name in ("source_id", *_SOURCE)),
        *(f"facts.{name}" for name in (*_FACTS, "codec", "made_by")),
        *(f"signals.{name}" for name in Signals.model_fields),
        "start", "split", "bucket", "shard", "media.path", "media.sha256", "media.bytes",
        "key_frames.list.element.path", "key_frames.list.element.sha256",
        "annotation.caption", "annotation.judge", "description.text", "description.judge",
    ]  # fmt: skip


def _flat_clips(table: pa.Table) -> pa.Table:
    """Nested columns of clips as flat ones of known types; those that a table lacks are null."""
    rows = table.num_rows

    def leaf(path: str, kind: pa.DataType) -> pa.ChunkedArray:
        column: pa.ChunkedArray | None = None
        for depth, name in enumerate(path.split(".")):
            if depth == 0:
                column = table[name] if name in table.column_names else None
            elif column is not None:
                has = column.type.get_field_index(name) >= 0
                column = pc.struct_field(column, name) if has else None
            if column is None:
                return pa.chunked_array([pa.nulls(rows, kind)])
        assert column is not None
        return column.cast(kind)

    frames = table["key_frames"] if "key_frames" in table.column_names else None
    text, number = pa.string(), pa.float64()
    shas = _elements(frames, "sha256", rows)
    columns = {
        "clip_id": leaf("clip_id", text),
        **{name: leaf(f"source.{name}", text) for name in _SOURCE},
        **{name: leaf(f"facts.{name}", number) for name in _FACTS},
        **{name: leaf(f"facts.{name}", text) for name in ("codec", "made_by")},
        **{f"signals.{name}": leaf(f"signals.{name}", number) for name in _SIGNALS},
        "sound": pc.if_else(leaf("signals.has_audio", pa.bool_()), "with sound", "silent"),
        "start": leaf("start", number),
        **{name: leaf(name, text) for name in ("split", "bucket", "shard")},
        "media": leaf("media.sha256", text),
        "suffix": _suffix(leaf("media.path", text)),
        "media_bytes": leaf("media.bytes", number),
        "frames": shas,
        "frame_suffix": _suffix(_first(_elements(frames, "path", rows))),
        "said": pc.coalesce(leaf("annotation.caption", text), leaf("description.text", text)),
        "judge": pc.coalesce(leaf("annotation.judge", text), leaf("description.judge", text)),
    }
    return pa.table(columns)


def _elements(frames: pa.ChunkedArray | None, name: str, rows: int) -> pa.ChunkedArray:
    """A field of each struct of a list, as lists."""
    kind = pa.list_(pa.string())
    if frames is None or not rows:
        return pa.chunked_array([pa.nulls(rows, kind)])
    whole = frames.combine_chunks()
    values = pc.struct_field(whole.flatten(), name)
    counts = pc.fill_null(pc.list_value_length(whole), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets), values)])


def _first(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first element of each list, null of an empty one."""
    if lists.null_count == len(lists):
        return pa.chunked_array([pa.nulls(len(lists), pa.string())])
    whole = lists.combine_chunks()
    starts = whole.offsets.to_numpy()[:-1]
    empty = np.diff(whole.offsets.to_numpy()) == 0
    return pa.chunked_array([whole.values.take(pa.array(starts, mask=empty))])


def _suffix(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """What a path ends with, from its last dot on."""
    return pc.struct_field(pc.extract_regex(paths, r"(?P<suffix>\.[A-Za-z0-9]+)$"), "suffix")


def _last_fates(ledger: pa.Table) -> pa.Table:
    """The last decision on each item, without sources that went on as clips."""
    if not ledger.num_rows:
        return ledger
    items = ledger["item"].combine_chunks().dictionary_encode()
    last = np.zeros(len(items.dictionary), np.int64)
    last[items.indices.to_numpy()] = np.arange(len(items))
    fates = ledger.take(pa.array(last))
    is_clip = pc.not_equal(ledger["item"], ledger["source"])
    cut = ledger["source"].filter(is_clip).combine_chunks().unique()
    is_source = pc.equal(fates["item"], fates["source"])
    went_on = pc.and_(pc.equal(fates["verdict"], "kept"), pc.is_in(fates["source"], value_set=cut))
    return fates.filter(pc.invert(pc.and_(is_source, went_on)))


def _joined(fates: pa.Table, clips: pa.Table, sources: pa.Table) -> pa.RecordBatch:
    place = pc.index_in(fates["item"], value_set=clips["clip_id"].combine_chunks())
    origin = pc.index_in(fates["source"], value_set=sources["source_id"].combine_chunks())
    mine, theirs = clips.take(place), sources.take(origin)
    columns = {"id": fates["item"], "source_id": fates["source"]}
    columns |= {name: fates[name] for name in _LEDGER[2:]}
    # A source that was never taken is known by nothing but the evidence, which begins with its name.
    told = pc.list_element(pc.split_pattern(pc.fill_null(fates["evidence"], ""), ": ", max_splits=1), 0)
    told = pc.if_else(pc.equal(fates["item"], fates["source"]), told, None)
    for name in _SOURCE:
        columns[name] = pc.coalesce(mine[name], theirs[name], *([told] if name == "name" else []))
    for name in clips.column_names:
        if name not in ("clip_id", *_SOURCE):
            columns[name] = mine[name]
    columns["licence"] = columns.pop("licence_id")
    columns["caption"] = pc.coalesce(_known(columns.pop("said")), columns["caption"])
    for name, column in columns.items():
        if pa.types.is_string(column.type):
            columns[name] = pc.fill_null(column, "")
    # What was kept comes first, and what cannot be shown last.
    unseen, lost = pc.equal(columns["media"], ""), pc.not_equal(columns["verdict"], "kept")
    order = np.lexsort([lost.to_numpy(), unseen.to_numpy()])
    columns = {name: column.take(pa.array(order)) for name, column in columns.items()}
    columns["text"] = _lowered(columns[name] for name in ("name", "caption", "evidence"))
    for name in _ENCODED:
        columns[name] = columns[name].combine_chunks().dictionary_encode()
    flat = {name: c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for name, c in columns.items()}
    return pa.RecordBatch.from_pydict(flat)


def _known(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column with null for the empty text."""
    return pc.if_else(pc.equal(column, ""), None, column)


def _lowered(columns: Iterable[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pc.utf8_lower(pc.binary_join_element_wise(*columns, "\n"))
