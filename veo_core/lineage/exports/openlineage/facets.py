"""Facets of OpenLineage events: those of its specification, and our own."""

from typing import Any

from pydantic import BaseModel, Field

from veo_core.provenance.claim import PRODUCT, product_version
from veo_core.records.base import Record

Json = dict[str, Any]

PRODUCER = f"pkg:generic/{PRODUCT}@{product_version()}"
"""What made the events, as a package URL (https://github.com/package-url/purl-spec)."""

FACETS_ID = "urn:veo-from-scratch:openlineage-facets:1"
"""Identity of the schema of our own facets."""

_SPEC = "https://openlineage.io/spec/facets"
_VERSIONS = {
    "DataQualityMetricsInputDatasetFacet": "1-0-3",
    "DatasetVersionDatasetFacet": "1-0-1",
    "DatasourceDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "ExecutionParametersRunFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "NominalTimeRunFacet": "1-0-1",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "OwnershipDatasetFacet": "1-0-1",
    "ParentRunFacet": "1-2-0",
    "ProcessingEngineRunFacet": "1-1-1",
    "SchemaDatasetFacet": "1-2-0",
    "SourceCodeLocationJobFacet": "1-1-0",
    "StorageDatasetFacet": "1-0-1",
    "SymlinksDatasetFacet": "1-0-1",
}


class RunFacet(Record):
    """Run facet `veo_run`: what the record of a pipeline's run says besides."""

    state: str
    target: str = Field(description="where it ran: embedded, kubeflow or vertex")
    irDigest: str = Field(description="sha256 of the compiled pipeline")  # noqa: N815
    gitSha: str  # noqa: N815
    gitDirty: bool = Field(description="whether files differed from the commit")  # noqa: N815
    python: str
    platform: str
    cpus: int
    cpu: str = Field(description="model of the CPU")
    memoryBytes: int  # noqa: N815
    accelerators: list[str] = Field(description="model and driver of each")
    images: dict[str, str] = Field(description="by pool, the image in which tasks ran")
    packages: dict[str, str] = Field(description="versions of installed libraries")
    notStarted: dict[str, str] = Field(description="tasks that never started, with the reason")  # noqa: N815
    changes: list[Json] = Field(description="made to its results after it had ended")
    unknown: list[str] = Field(description="what the platform on which it ran does not tell")


class TaskFacet(Record):
    """Run facet `veo_task`: how a task came to its result."""

    state: str
    cached: bool = Field(description="whether an earlier run's result was taken")
    reason: str = Field(description="why it was cached, run anew, failed or cancelled")
    cacheKey: str  # noqa: N815
    cachedFrom: str = Field(description="id of the run that made the outputs, where cached")  # noqa: N815
    code: dict[str, str] = Field(
        description="what its command ran: sha256 by file, versions by library and of `python`, or an image"
    )
    attempts: int
    exitCode: int | None  # noqa: N815
    peakRssBytes: int | None  # noqa: N815
    command: list[str]
    dependsOn: list[str] = Field(description="tasks and groups that it waited for")  # noqa: N815


class LicencesFacet(Record):
    """Dataset facet `veo_licences`: under which licences a dataset's clips are."""

    clips: dict[str, int] = Field(description="clips by licence")


OWN_FACETS: tuple[type[BaseModel], ...] = (RunFacet, TaskFacet, LicencesFacet)


def facet(name: str, /, **fields: Any) -> Json:
    """A facet of OpenLineage's specification."""
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"{_SPEC}/{_VERSIONS[name]}/{name}.json#/$defs/{name}",
        **fields,
    }


def own_facet(value: Record) -> Json:
    """A facet of our own."""
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"{FACETS_ID}#/$defs/{type(value).__name__}",
        **value.model_dump(mode="json"),
    }
