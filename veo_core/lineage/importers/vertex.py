"""Runs of Vertex AI Pipelines, from its PipelineService.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs.
"""

import json
from typing import Any

import google.cloud.aiplatform_v1 as api
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.protobuf import json_format  # type: ignore[import-untyped]

from veo_core.errors import UsageError
from veo_core.lineage.importers.platform import PlatformArtifact, PlatformRun, PlatformTask
from veo_core.records.run import RunState, TaskState

Json = dict[str, Any]

_CALL_SECONDS = 60.0
_INPUT, _OUTPUT = "input:", "output:"  # keys of parameters in the metadata of a task's execution
_RUN_STATES: dict[str, RunState] = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
}
_TASK_STATES: dict[str, TaskState] = {
    "PENDING": "PENDING",
    "RUNNING": "RUNNING",
    "SUCCEEDED": "SUCCEEDED",
    "CANCEL_PENDING": "RUNNING",
    "CANCELLING": "RUNNING",
    "CANCELLED": "CANCELLED",
    "FAILED": "FAILED",
    "SKIPPED": "CACHED",
    "NOT_TRIGGERED": "SKIPPED",
}
_MEANINGS = {"SKIPPED": "skipped because of a cache hit", "NOT_TRIGGERED": "its condition does not hold"}
_UNKNOWN = [
    "exit codes, memory, library versions and hardware: Vertex AI Pipelines does not tell them",
    "which run made cached outputs: Vertex AI Pipelines does not tell it",
]


def fetch(project: str, region: str, job: str) -> Json:
    """A pipeline job, as JSON.

    Args:
        project, region: where it ran.
        job: its id, or its full resource name.

    Raises:
        UsageError: there are no credentials, they are refused, or there is no such job.
    """
    name = job if "/" in job else f"projects/{project}/locations/{region}/pipelineJobs/{job}"
    try:
        client = api.PipelineServiceClient(
            client_options={"api_endpoint": f"{region}-aiplatform.googleapis.com"}
        )
        found = client.get_pipeline_job(name=name, timeout=_CALL_SECONDS)
    except exceptions.GoogleAPICallError as error:
        raise UsageError(f"Vertex AI {name}: {' '.join(str(error.message).split())}") from None
    except GoogleAuthError as error:
        raise UsageError(f"Vertex AI {name}: no credentials: {' '.join(str(error).split())}") from None
    told: Json = json.loads(api.PipelineJob.to_json(found, use_integers_for_enums=False))
    return told


def read(job: Json) -> PlatformRun:
    """A run as Vertex AI Pipelines tells it.

    Args:
        job: a `PipelineJob` as JSON, with the names of the REST API or of the protocol's messages.

    Raises:
        UsageError: it is no such job.
    """
    try:
        parsed = json_format.ParseDict(job, api.PipelineJob.pb(api.PipelineJob()), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise UsageError(f"not understood as a job of Vertex AI Pipelines: {error}") from None
    told = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
    if not told.get("name") or "create_time" not in told:
        raise UsageError("not understood as a job of Vertex AI Pipelines: it has no name or no time")
    config = told.get("runtime_config", {})
    return PlatformRun(
        target="vertex",
        id=told["name"],
        address=_address(told["name"]),
        state=_RUN_STATES.get(_word(told.get("state", ""), "PIPELINE_STATE_"), "RUNNING"),
        created=parsed.create_time.ToNanoseconds() / 1e9,
        finished=parsed.end_time.ToNanoseconds() / 1e9 if "end_time" in told else None,
        spec=told.get("pipeline_spec", {}),
        arguments=config.get("parameter_values", {}),
        root=config.get("gcs_output_directory", ""),
        labels=told.get("labels", {}),
        tasks=[_task(detail) for detail in parsed.job_detail.task_details],
        unknown=[*_UNKNOWN],
    )


def _task(detail: Any) -> PlatformTask:
    word = api.PipelineTaskDetail.State(detail.state).name
    metadata = json_format.MessageToDict(detail.execution.metadata) if detail.HasField("execution") else {}
    meaning = detail.error.message.strip() or _MEANINGS.get(word, "")
    job = _main_job(detail)
    return PlatformTask(
        name=detail.task_name,
        state=_TASK_STATES.get(word, "PENDING"),
        reason=f"Vertex AI Pipelines: {word}" + (f": {meaning}" if meaning else ""),
        started=_time(detail, "start_time"),
        finished=_time(detail, "end_time"),
        attempts=_attempts(detail),
        log=_log(job) if job else "",
        parameters=_parameters(metadata, _INPUT),
        output_parameters=_parameters(metadata, _OUTPUT),
        inputs=_artifacts(detail.inputs),
        outputs=_artifacts(detail.outputs),
    )


def _main_job(detail: Any) -> str:
    executor = detail.executor_detail
    return str(executor.container_detail.main_job or executor.custom_job_detail.job)


def _attempts(detail: Any) -> int:
    executor = detail.executor_detail
    failed = [*executor.container_detail.failed_main_jobs, *executor.custom_job_detail.failed_jobs]
    last = _main_job(detail)
    return len(failed) + (1 if last and last not in failed else 0)


def _artifacts(lists: Any) -> dict[str, list[PlatformArtifact]]:
    return {
        name: [
            PlatformArtifact(artifact.uri, json_format.MessageToDict(artifact.metadata))
            for artifact in found.artifacts
        ]
        for name, found in lists.items()
    }


def _parameters(metadata: Json, prefix: str) -> Json:
    return {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}


def _time(detail: Any, field: str) -> float | None:
    return getattr(detail, field).ToNanoseconds() / 1e9 if detail.HasField(field) else None


def _word(state: str, prefix: str) -> str:
    return state.removeprefix(prefix)


def _address(name: str) -> str:
    """The page of a job: projects/PROJECT/locations/REGION/pipelineJobs/ID."""
    parts = name.split("/")
    if len(parts) != 6:
        return ""
    _, project, _, region, _, job = parts
    return f"https://console.cloud.google.com/vertex-ai/locations/{region}/pipelines/runs/{job}?project={project}"


def _log(job: str) -> str:
    """The page with the logs of a custom job: projects/PROJECT/locations/REGION/customJobs/ID."""
    parts = job.split("/")
    if len(parts) != 6:
        return job
    return (
        "https://console.cloud.google.com/logs/query;query=resource.labels.job_id%3D%22"
        f"{parts[5]}%22?project={parts[1]}"
    )
