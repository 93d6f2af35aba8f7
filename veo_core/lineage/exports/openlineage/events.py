"""A run as OpenLineage events, one JSON object a line: START, then COMPLETE, FAIL or ABORT.

Source: https://openlineage.io/spec/2-0-2/OpenLineage.json, and the facets below
https://openlineage.io/spec/facets. The pipeline's run is the parent of its tasks' runs. Ids of runs are UUIDs
of their names, so that an export made again gives the same bytes. A task that never started has no event; the
pipeline's facet `veo_run` names it.
Facets of our own follow `openlineage-facets.schema.json`, which is written beside the events.
"""

import itertools
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.openlineage.datasets import Datasets
from veo_core.lineage.exports.openlineage.facets import (
    FACETS_ID,
    OWN_FACETS,
    PRODUCER,
    RunFacet,
    TaskFacet,
    facet,
    own_facet,
)
from veo_core.lineage.exports.subject import moment, record_of
from veo_core.provenance.claim import PRODUCT, product_version
from veo_core.records.run import TaskRecord

Json = dict[str, Any]

FILE = "openlineage.ndjson"
SCHEMA_FILE = "openlineage-facets.schema.json"
_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_ENDS = {
    "SUCCEEDED": "COMPLETE",
    "CACHED": "COMPLETE",
    "FAILED": "FAIL",
    "CANCELLED": "ABORT",
    "INTERRUPTED": "ABORT",
}
_SHA1 = re.compile(r"[0-9a-f]{40}")


def run_events(evidence: Evidence, out: Path) -> dict[str, bytes]:
    """The events in the order of their times, and the schema of our own facets."""
    with Datasets(evidence) as datasets:
        found = list(_Events(evidence, datasets).all())
    found.sort(key=lambda event: str(event["eventTime"]))
    lines = (json.dumps(event, sort_keys=True) + "\n" for event in found)
    return {FILE: "".join(lines).encode(), SCHEMA_FILE: _own_schema()}


def _own_schema() -> bytes:
    _, schema = models_json_schema(
        [(kind, "validation") for kind in OWN_FACETS], ref_template="#/$defs/{model}"
    )
    value = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": FACETS_ID, **schema}
    return json.dumps(value, indent=1, sort_keys=True).encode()


class _Events:
    def __init__(self, evidence: Evidence, datasets: Datasets) -> None:
        self._run = record_of(evidence)
        self._datasets = datasets
        times = [self._run.created, self._run.finished]
        times += [time for task in self._run.tasks for time in (task.started, task.finished)]
        self._last = max(time for time in times if time is not None)

    def all(self) -> Iterator[Json]:
        run = self._run
        facets = self._run_facets()
        job = {"namespace": PRODUCT, "name": run.pipeline, "facets": self._job_facets("PIPELINE")}
        yield self._event("START", run.created, self._id(), facets, job)
        if end := _ENDS.get(run.state):
            failed = [f"{t.name}: {t.reason}" for t in run.tasks if t.state == "FAILED"]
            message = "; ".join(failed) or f"the run was {run.state.lower()}"
            ended = facets if end == "COMPLETE" else facets | {"errorMessage": _error(message)}
            yield self._event(end, self._end_of(run.finished), self._id(), ended, job)
        for task in run.tasks:
            if task.started is not None:
                yield from self._task_events(task)

    def _task_events(self, task: TaskRecord) -> Iterator[Json]:
        assert task.started is not None
        facets = self._task_facets(task)
        name = f"{self._run.pipeline}.{task.name}"
        job = {"namespace": PRODUCT, "name": name, "facets": self._job_facets("TASK", task.command)}
        inputs = self._datasets.inputs(task)
        yield self._event("START", task.started, self._id(task.name), facets, job, inputs)
        if end := _ENDS.get(task.state):
            ended = facets if end == "COMPLETE" else facets | {"errorMessage": _error(task.reason)}
            outputs = self._datasets.outputs(task)
            time = self._end_of(task.finished)
            yield self._event(end, time, self._id(task.name), ended, job, inputs, outputs)

    def _event(
        self,
        kind: str,
        time: float,
        run_id: str,
        facets: Json,
        job: Json,
        inputs: list[Json] | None = None,
        outputs: list[Json] | None = None,
    ) -> Json:
        return {
            "eventType": kind,
            "eventTime": moment(time),
            "producer": PRODUCER,
            "schemaURL": _EVENT,
            "run": {"runId": run_id, "facets": facets},
            "job": job,
            "inputs": inputs or [],
            "outputs": outputs or [],
        }

    def _id(self, *task: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join((PRODUCT, self._run.run_id, *task))))

    def _end_of(self, finished: float | None) -> float:
        """When something ended; where a killed runner could not say, the last time on record."""
        return self._last if finished is None else finished

    def _run_facets(self) -> Json:
        run = self._run
        times = {"nominalStartTime": moment(run.created)}
        if run.finished is not None:
            times["nominalEndTime"] = moment(run.finished)
        about = RunFacet(
            state=run.state,
            target=run.target,
            irDigest=run.ir_digest,
            gitSha=run.git_sha,
            gitDirty=run.git_dirty,
            python=run.python,
            platform=run.platform,
            cpus=run.cpus,
            cpu=run.cpu,
            memoryBytes=run.memory_bytes,
            accelerators=run.accelerators,
            images=run.images,
            packages=run.packages,
            notStarted={task.name: task.reason for task in run.tasks if task.started is None},
            changes=[change.model_dump(mode="json") for change in run.changes],
            unknown=run.unknown,
        )
        return {
            "nominalTime": facet("NominalTimeRunFacet", **times),
            "processing_engine": _engine(),
            "executionParameters": _parameters(run.parameters),
            "veo_run": own_facet(about),
        }

    def _task_facets(self, task: TaskRecord) -> Json:
        parent = {
            "run": {"runId": self._id()},
            "job": {"namespace": PRODUCT, "name": self._run.pipeline},
        }
        about = TaskFacet(
            state=task.state,
            cached=task.state == "CACHED",
            reason=task.reason,
            cacheKey=task.cache_key,
            cachedFrom=task.cached_from,
            code=task.code,
            attempts=task.attempts,
            exitCode=task.exit_code,
            peakRssBytes=task.peak_rss_bytes,
            command=task.command,
            dependsOn=task.depends_on,
        )
        return {
            "parent": facet("ParentRunFacet", **parent, root=parent),
            "processing_engine": _engine(),
            "executionParameters": _parameters(task.parameters),
            "veo_task": own_facet(about),
        }

    def _job_facets(self, kind: str, command: list[str] | None = None) -> Json:
        facets = {
            "jobType": facet("JobTypeJobFacet", processingType="BATCH", integration="VEO", jobType=kind),
        }
        if _SHA1.fullmatch(self._run.git_sha):
            # A Software Heritage identifier names a commit by its hash, wherever the repository is.
            place = {"type": "git", "url": f"swh:1:rev:{self._run.git_sha}", "version": self._run.git_sha}
            if path := _source_of(command or []):
                place["path"] = path
            facets["sourceCodeLocation"] = facet("SourceCodeLocationJobFacet", **place)
        return facets


def _source_of(command: list[str]) -> str:
    """The file of the module that a command runs, in the repository; empty for other commands."""
    for option, module in itertools.pairwise(command):
        if option == "-m":
            return f"{module.replace('.', '/')}.py"
    return ""


def _engine() -> Json:
    version = product_version()
    return facet("ProcessingEngineRunFacet", name=PRODUCT, version=version, openlineageAdapterVersion=version)


def _error(message: str) -> Json:
    return facet(
        "ErrorMessageRunFacet", message=message or "no reason on record", programmingLanguage="PYTHON"
    )


def _parameters(values: dict[str, Any]) -> Json:
    named = [
        {"key": name, "value": value if isinstance(value, str) else json.dumps(value, sort_keys=True)}
        for name, value in values.items()
    ]
    return facet("ExecutionParametersRunFacet", parameters=named)
