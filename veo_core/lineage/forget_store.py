"""A store without a source: its tables, shards and marks are searched whole, and written again without it."""

import io
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from veo_core.curate.plan import FORGOTTEN
from veo_core.lineage.traces import Row, Traces, batches, mentioning, mentions
from veo_core.provenance.copies import find_copy
from veo_core.records.base import Record
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Verdict
from veo_core.storage import Store

_KEPT_MARKS = ("forgotten/", "forgetting/", "registry/")
_SCRATCH_MARKS = ("dedup/",)
_SCRATCH = (".bin", ".decoded.safetensors", ".latents.safetensors")
_TEXTS = (".json", ".jsonl", ".txt", ".md")
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_PARQUET = b"PAR1"


class Rewritten(Record):
    """What became of an object: another one, or none at all where nothing was left of it."""

    ref: FileRef | None = None
    rows: int = Field(default=0, description="rows of a table")
    clips: int = Field(default=0, description="clips of a shard")
    verdicts: dict[Verdict, int] = Field(default_factory=dict, description="decisions that are now 'dropped'")


class StoreSearch:
    """Looks through everything below a store.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = tempfile.TemporaryDirectory(prefix="veo-forget-")

    def learn(self, traces: Traces) -> Traces:
        """All that the store knows of the source: every round finds what the one before named."""
        while True:
            known = traces
            for row in self._mentioning(known.tokens):
                if traces.owns(row):
                    traces = traces.learn(row)
            if traces == known:
                return self._with_signed(traces)

    def _with_signed(self, traces: Traces) -> Traces:
        """These traces with the signed files of its clips."""
        copies = (find_copy(self._store, digest) for digest in traces.objects.values())
        signed = {copy.file.path: copy.file.sha256 for copy in copies if copy is not None}
        return traces.model_copy(update={"objects": traces.objects | signed})

    def sources_of(self, files: Set[str]) -> set[str]:
        """Ids of all sources whose file has one of these sha256."""
        return {
            source["source_id"]
            for row in self._mentioning(files)
            for source in _sources_in(row)
            if source["file"]["sha256"] in files
        }

    def sources_named(self, query: str) -> set[str]:
        """Ids of the sources with this id, file name, page or file's sha256."""
        return {
            source["source_id"]
            for row in self._mentioning({query})
            for source in _sources_in(row)
            if query in (source["source_id"], source["name"], source["source_url"], source["file"]["sha256"])
        }

    def others(self, traces: Traces) -> set[str]:
        """Ids of clips of other sources that were dropped as copies of it, or for which its own were."""
        found: set[str] = set()
        for row in self._mentioning(traces.tokens):
            partner, item = row.get("partner"), row.get("item")
            if partner and item in traces.clips and partner not in traces.clips:
                found.add(partner)
            elif item and partner in traces.clips and item not in traces.clips:
                found.add(item)
        return found

    def tables(self, traces: Traces) -> list[str]:
        """Paths of tables that name the source."""
        return [path for path in self._paths(".parquet") if self._names(path, traces)]

    def shards(self, traces: Traces) -> list[str]:
        """Paths of tar files that hold one of its clips."""
        found = []
        for path in self._paths(".tar"):
            with self._open_tar(path) as tar:
                if any(member.name.rpartition(".")[0] in traces.clips for member in tar):
                    found.append(path)
        return found

    def texts(self, traces: Traces) -> list[str]:
        """Paths of text objects that hold one of its ids."""
        return [path for path in self._paths(*_TEXTS) if digests_in(self._bytes(path)) & traces.identifiers]

    def scratch(self) -> list[str]:
        """Paths of working files that hold the pictures of many clips: dedup's, decoded clips, latents."""
        return self._paths(*_SCRATCH)

    def marks(self, traces: Traces) -> list[str]:
        """Keys of marks about it: shards of work, judge answers, downloads.

        What dedup notes by the number of a clip, not by its id, goes whole; it is worked out anew on need.
        """
        digests = traces.identifiers | set(traces.objects.values())
        found = []
        for key in self._store.marks():
            if key.startswith(_KEPT_MARKS) or key.endswith(".safetensors"):
                continue
            if key.startswith(_SCRATCH_MARKS):
                found.append(key)
                continue
            data = self._store.get_mark(key) or b""
            if data.startswith(_PARQUET):
                if any(map(traces.owns, mentioning(pa.BufferReader(data), traces.tokens))):
                    found.append(key)
            elif digests_in(data) & digests:
                found.append(key)
        return found

    def shared(self, traces: Traces, besides: set[str]) -> set[str]:
        """Paths of its files to which something else refers, too; `besides` are objects that will go."""
        by_digest = {digest: path for path, digest in traces.objects.items()}
        found: set[str] = set()
        for path in self._paths(".parquet"):
            if path not in besides:
                for row in mentioning(self._path(path), by_digest.keys()):
                    if not traces.owns(row):
                        found |= {by_digest[text] for text in _all_texts(row) if text in by_digest}
        return found

    def rewrite_table(self, path: str, traces: Traces) -> Rewritten:
        """Store a table without the source. Decisions on it stay, with nothing but their ids."""
        verdicts: Counter[Verdict] = Counter()
        tokens = pa.array(sorted(traces.tokens), pa.string())
        source = self._path(path)
        rows = 0
        with tempfile.TemporaryDirectory(prefix="veo-forget-") as folder:
            target = Path(folder) / "table.parquet"
            with pq.ParquetFile(source) as file:
                schema = file.schema_arrow
            with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                for batch in batches(source):
                    changed = _without(batch, tokens, traces, verdicts)
                    rows += changed.num_rows
                    if changed.num_rows:
                        writer.write_table(changed)
            ref = self._store.put_file(target)
        return Rewritten(
            ref=TableRef(path=ref.path, sha256=ref.sha256, bytes=ref.bytes, rows=rows),
            rows=rows,
            verdicts=dict(verdicts),
        )

    def rewrite_shard(self, path: str, traces: Traces) -> Rewritten:
        """Store a shard without its clips; one that held nothing else is gone."""
        clips: set[str] = set()
        with tempfile.TemporaryDirectory(prefix="veo-forget-") as folder:
            target = Path(folder) / "shard.tar"
            with (
                self._open_tar(path) as tar,
                tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as out,
            ):
                for member in tar:
                    clip = member.name.rpartition(".")[0]
                    content = tar.extractfile(member)
                    if clip not in traces.clips and content is not None:
                        clips.add(clip)
                        out.addfile(member, io.BytesIO(content.read()))
            if not clips:
                return Rewritten()
            return Rewritten(ref=self._store.put_file(target), clips=len(clips))

    def _mentioning(self, tokens: Set[str]) -> Iterator[Row]:
        """Rows of all tables and marks that hold one of `tokens`."""
        for path in self._paths(".parquet"):
            yield from mentioning(self._path(path), tokens)
        for key in self._store.marks():
            data = self._store.get_mark(key) or b""
            if data.startswith(_PARQUET):
                yield from mentioning(pa.BufferReader(data), tokens)

    def _names(self, path: str, traces: Traces) -> bool:
        rows = mentioning(self._path(path), traces.tokens)
        return any(_treatment(row, traces) != "keep" for row in rows)

    def _paths(self, *suffixes: str) -> list[str]:
        return [
            path
            for path in self._store.objects()
            if path.endswith(suffixes) and not Path(path).name.startswith(".")
        ]

    def _path(self, path: str) -> Path | pa.BufferReader:
        local = self._store.local_path(_ref(path), Path(self._folder.name))
        if not local.is_relative_to(self._folder.name):
            return local
        data = local.read_bytes()
        local.unlink()
        return pa.BufferReader(data)

    def _bytes(self, path: str) -> bytes:
        return self._store.get_bytes(_ref(path))

    def _open_tar(self, path: str) -> tarfile.TarFile:
        source = self._path(path)
        return tarfile.open(source) if isinstance(source, Path) else tarfile.open(fileobj=source)


def _without(batch: pa.RecordBatch, tokens: pa.Array, traces: Traces, verdicts: Counter[Verdict]) -> pa.Table:
    """A batch of rows without the source; `verdicts` counts the decisions that it loses."""
    mask = mentions(batch, tokens)
    if not mask.any():
        return pa.Table.from_batches([batch])
    rows: list[Row] = []
    for row, mentioned in zip(batch.to_pylist(maps_as_pydicts="strict"), mask, strict=True):
        treatment = _treatment(row, traces) if mentioned else "keep"
        if treatment == "blank":
            if row["verdict"] != "dropped":
                verdicts[row["verdict"]] += 1
            rows.append(_blank(row))
        elif treatment == "scrub":
            rows.append(row | {"evidence": ""})
        elif treatment == "keep":
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=batch.schema)


def _treatment(row: Row, traces: Traces) -> str:
    """What happens to a row that names the source: keep, scrub (of words about it), blank, or remove."""
    if "verdict" in row and "rule" in row and isinstance(row.get("source"), str):
        if row["source"] in traces.sources:
            return "keep" if row == _blank(row) else "blank"
        return "scrub" if row.get("partner") in traces.clips and row["evidence"] else "keep"
    compared = {value for value in (row.get("first"), row.get("second")) if isinstance(value, str)}
    return "remove" if traces.owns(row) or compared & traces.clips else "keep"


def _blank(row: Row) -> Row:
    """A decision of which only the ids are left, so that counts still add up."""
    named = {name: row[name] for name in ("item", "source", "stage")}
    empty = {name: {} if isinstance(value, dict) else "" for name, value in row.items()}
    return empty | named | {"verdict": "dropped", "rule": FORGOTTEN}


def _sources_in(row: Row) -> Iterator[Row]:
    """The sources that a row is, or holds."""
    for value in (row, row.get("source")):
        if isinstance(value, dict) and "source_id" in value and isinstance(value.get("file"), dict):
            yield value


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _all_texts(part)


def digests_in(data: bytes) -> set[str]:
    """Every sha256 in hexadecimal that stands in `data`."""
    return {found.decode() for found in _DIGEST.findall(data)}


def _ref(path: str) -> FileRef:
    return FileRef(path=path, sha256=Path(path).name.split(".")[0], bytes=0)
