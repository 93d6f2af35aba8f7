"""The datasets that a run's tasks read and wrote, as OpenLineage describes them.

A dataset has a name that stays the same from run to run (pipeline, task and table), a version, which is the
sha256 of its bytes, and a symlink to the object that holds them.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.curate.origins import Origins
from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.clips import counted_clips
from veo_core.lineage.exports.openlineage.facets import LicencesFacet, facet, own_facet
from veo_core.lineage.exports.subject import record_of
from veo_core.records.base import sha256_bytes
from veo_core.records.files import FileRef, TableRef
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, TaskRecord

Json = dict[str, Any]

_MOST_OWNERS = 50


@dataclass(frozen=True)
class _Table:
    """What a Parquet file's footer says."""

    schema: pa.Schema
    nulls: dict[str, int]


class Datasets:
    """Describes what tasks read and wrote. Tables of a remote store are downloaded while the block lasts."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._store = evidence.store
        self._pipeline = record_of(evidence).pipeline
        self._namespace = self._store.root if "://" in self._store.root else f"file://{self._store.root}"
        self._makers: dict[str, tuple[str, Manifest | None]] = {}
        for stage in evidence.stages:
            for artifacts in stage.task.outputs.values():
                for artifact in artifacts:
                    self._makers.setdefault(artifact.sha256, (stage.task.name, stage.manifest))
        self._footers: dict[str, _Table | None] = {}

    def __enter__(self) -> "Datasets":
        self._folder = tempfile.TemporaryDirectory(prefix="veo-export-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def inputs(self, task: TaskRecord) -> list[Json]:
        """What a task was given: each artifact, and what its manifest names."""
        found: dict[str, Json] = {}
        for name, artifacts in task.inputs.items():
            for artifact in artifacts:
                maker, manifest = self._makers.get(artifact.sha256, (f"{task.name}/inputs/{name}", None))
                for dataset in self._described(maker, artifact, manifest, "inputFacets"):
                    found[dataset["name"]] = dataset
        return list(found.values())

    def outputs(self, task: TaskRecord) -> list[Json]:
        """What a task made: each artifact, and what its manifest names."""
        stage = next(s for s in self._evidence.stages if s.task.name == task.name)
        found = []
        for name, artifacts in task.outputs.items():
            for artifact in artifacts:
                manifest = stage.manifest if name == "manifest" else None
                found += self._described(task.name, artifact, manifest, "outputFacets", name)
        return found

    def _described(
        self,
        maker: str,
        artifact: ArtifactRecord,
        manifest: Manifest | None,
        side: str,
        name: str = "manifest",
    ) -> list[Json]:
        found = [self._artifact(f"{maker}/{name}", artifact)]
        if manifest is None:
            return found
        for table, ref in manifest.tables.items():
            found.append(self._table(f"{maker}/{table}", ref, side, packaged=_is_dataset(manifest, table)))
        if manifest.shards:
            found.append(self._shards(f"{maker}/shard-files", manifest.shards, side))
        found += [self._file(f"{maker}/{file}", ref, side) for file, ref in manifest.files.items()]
        return found

    def _artifact(self, name: str, artifact: ArtifactRecord) -> Json:
        place = urlsplit(artifact.uri)
        namespace, path = (
            (f"{place.scheme}://{place.netloc}", place.path.lstrip("/"))
            if place.scheme not in ("", "file")
            else ("file", place.path)
        )
        return self._dataset(name, artifact.sha256, [_identifier(namespace, path)])

    def _table(self, name: str, ref: TableRef, side: str, *, packaged: bool) -> Json:
        dataset = self._file(name, ref, side, rows=ref.rows)
        footer = self._footer(ref)
        if footer is not None:
            dataset["facets"]["schema"] = facet("SchemaDatasetFacet", fields=_fields(footer.schema))
        if footer is not None and side == "inputFacets":
            dataset[side]["dataQualityMetrics"]["columnMetrics"] = {
                column: {"nullCount": nulls, "count": ref.rows - nulls}
                for column, nulls in footer.nulls.items()
            }
        if packaged and side == "outputFacets":
            dataset["facets"] |= self._rights(ref)
        return dataset

    def _file(self, name: str, ref: FileRef, side: str, rows: int | None = None) -> Json:
        kind = Path(ref.path).suffix.lstrip(".") or "bytes"
        dataset = self._dataset(name, ref.sha256, [self._place(ref)], kind)
        dataset[side] = _size(side, rows, ref.bytes, 1)
        return dataset

    def _shards(self, name: str, shards: list[FileRef], side: str) -> Json:
        version = sha256_bytes("\n".join(ref.sha256 for ref in shards).encode())
        dataset = self._dataset(name, version, [self._place(ref) for ref in shards], "tar")
        dataset[side] = _size(side, None, sum(ref.bytes for ref in shards), len(shards))
        return dataset

    def _dataset(self, name: str, version: str, places: list[Json], kind: str = "json") -> Json:
        layer = urlsplit(self._namespace).scheme
        facets = {
            "dataSource": facet("DatasourceDatasetFacet", name=self._namespace, uri=self._namespace),
            "storage": facet("StorageDatasetFacet", storageLayer=layer, fileFormat=kind),
            "symlinks": facet("SymlinksDatasetFacet", identifiers=places),
        }
        if version:
            facets["version"] = facet("DatasetVersionDatasetFacet", datasetVersion=f"sha256:{version}")
        return {"namespace": self._namespace, "name": f"{self._pipeline}/{name}", "facets": facets}

    def _place(self, ref: FileRef) -> Json:
        place = urlsplit(self._namespace)
        path = f"{place.path.rstrip('/')}/{ref.path}"
        if place.scheme == "file":
            return _identifier("file", path)
        return _identifier(f"{place.scheme}://{place.netloc}", path.lstrip("/"))

    def _footer(self, ref: TableRef) -> _Table | None:
        """The columns of a table; None with a note where they cannot be read."""
        if ref.sha256 not in self._footers:
            try:
                with pq.ParquetFile(self._store.local_path(ref, Path(self._folder.name))) as file:
                    self._footers[ref.sha256] = _Table(file.schema_arrow, _nulls(file.metadata))
            except (UsageError, pa.ArrowException, OSError) as error:
                self._evidence.notes.append(f"columns of table {ref.path} are not known: {error}")
                self._footers[ref.sha256] = None
        return self._footers[ref.sha256]

    def _rights(self, ref: TableRef) -> Json:
        """Who owns a dataset's clips, and under which licences they are."""
        try:
            found = Origins.of(counted_clips(self._evidence, ref))
        except (UsageError, pa.ArrowException, ValueError) as error:
            self._evidence.notes.append(f"rights of table {ref.path} are not known: {error}")
            return {}
        owners = [{"name": author, "type": "AUTHOR"} for author, _ in found.authors.most_common() if author]
        return {
            "ownership": facet("OwnershipDatasetFacet", owners=owners[:_MOST_OWNERS]),
            "veo_licences": own_facet(LicencesFacet(clips=dict(sorted(found.licences.items())))),
        }


def _is_dataset(manifest: Manifest, table: str) -> bool:
    return table == "clips" and "pairs" in manifest.tables


def _identifier(namespace: str, path: str) -> Json:
    return {"namespace": namespace, "name": path, "type": "FILE"}


def _size(side: str, rows: int | None, size: int, files: int) -> Json:
    counted = {} if rows is None else {"rowCount": rows}
    if side == "outputFacets":
        sizes = {"size": size, "fileCount": files, **counted}
        return {"outputStatistics": facet("OutputStatisticsOutputDatasetFacet", **sizes)}
    sizes = {"bytes": size, "fileCount": files, **counted}
    measured = facet("DataQualityMetricsInputDatasetFacet", columnMetrics={}, **sizes)
    return {"dataQualityMetrics": measured}


def _fields(fields: Any) -> list[Json]:
    """The columns of a schema, and what is nested in them."""
    found = []
    for position, field in enumerate(fields, start=1):
        value: Json = {"name": field.name, "type": _type(field.type), "ordinal_position": position}
        inner = field.type.value_type if pa.types.is_list(field.type) else field.type
        if pa.types.is_struct(inner):
            value["fields"] = _fields(inner)
        found.append(value)
    return found


def _type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_list(kind):
        return f"list<{_type(kind.value_type)}>"
    return str(kind)


def _nulls(footer: pq.FileMetaData) -> dict[str, int]:
    """How many values of each column that is no structure are missing, where the file counted them."""
    counts: dict[str, int] = {}
    unknown: set[str] = set()
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            if "." in column.path_in_schema:
                continue
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count:
                unknown.add(column.path_in_schema)
            else:
                counts[column.path_in_schema] = counts.get(column.path_in_schema, 0) + statistics.null_count
    return {name: count for name, count in counts.items() if name not in unknown}
