"""What Kubeflow Pipelines and Vertex AI Pipelines answer about a run, and the artifacts that it left.

The run is one of this machine: its manifests lie where the platforms put them, and its states are told in the
platforms' words. The answers are made of the platforms' own message types.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api as kfp
import yaml
from google.cloud.aiplatform_v1 import types as vertex
from google.rpc import status_pb2

from veo_core.records.run import RunRecord, TaskRecord

COMPILED = Path(__file__).parents[2] / "pipelines" / "compiled"
ROOT = "gs://veo-bucket/pipelines"
RUN = "0b6f4f0e-6a6d-4c3f-9e52-7f6f0f9d1c55"
JOB = "projects/123456789012/locations/us-central1/pipelineJobs/veo-from-scratch-20261128103643-0"
LABELS = {"ir-digest": "d" * 63, "preset": "world", "git-sha": "a" * 40, "git-dirty": "true", "team": "video"}
_STATES = {"INTERRUPTED": "RUNNING"}
_CACHED = "dedup"
"""Its outputs were in the cache: they lie in the folder of another run."""


def spec(target: str) -> dict[str, Any]:
    """The compiled pipeline of a target."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return next(yaml.load_all((COMPILED / f"{target}.yaml").read_text(), Loader=loader))


@dataclass(frozen=True)
class Place:
    """A copy of a platform's bucket."""

    folder: Path

    def put(self, tail: str, task: TaskRecord, run: Path) -> str:
        """Put a task's manifest below the root; its URI."""
        path = self.folder / tail
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((run / task.outputs["manifest"][0].uri).read_bytes())
        return f"{ROOT}/{tail}"


def kubeflow_answer(run: Path, place: Place) -> dict[str, Any]:
    """`GET /apis/v2beta1/runs/{run}`: a run whose cached task is SKIPPED, and no artifact is named."""
    record = RunRecord.model_validate_json((run / "run.json").read_bytes())
    details = [_driver("root"), _driver("root-driver")]
    for task in record.tasks:
        name = task.name.rpartition("/")[2]
        details += [_driver(f"{name}-driver"), _driver("executor")]
        details.append(
            kfp.V2beta1PipelineTaskDetail(
                run_id=RUN,
                task_id=f"veo-from-scratch-{len(details)}",
                display_name=name,
                create_time="2026-11-28T10:36:43Z",
                start_time="2026-11-28T10:36:50Z",
                end_time="2026-11-28T10:37:20Z" if task.finished else None,
                state="SKIPPED" if name == _CACHED and task.outputs else task.state,
                error=kfp.GoogleRpcStatus(code=2, message=task.reason) if task.state == "FAILED" else None,
            )
        )
        if task.outputs and name != _CACHED:
            place.put(f"veo-from-scratch/{RUN}/{name}/5d2a/manifest", task, run)
    answer = kfp.V2beta1Run(
        run_id=RUN,
        display_name="veo-from-scratch 2026-11-28 10:36:43",
        state=_STATES.get(record.state, record.state),
        created_at="2026-11-28T10:36:43Z",
        finished_at="2026-11-28T11:36:43Z" if record.finished else "0001-01-01T00:00:00Z",
        pipeline_spec={"pipeline_spec": spec("kubeflow"), "platform_spec": {}},
        runtime_config=kfp.V2beta1RuntimeConfig(
            parameters={"seed": 7, "root": "s3://veo-bucket/store"}, pipeline_root=ROOT
        ),
        run_details=kfp.V2beta1RunDetails(task_details=details),
    )
    return kfp.ApiClient(kfp.Configuration()).sanitize_for_serialization(answer)


def kubeflow_version() -> dict[str, Any]:
    """The version of the pipeline that the submitter uploaded."""
    described = ", ".join(f"{name} {value}" for name, value in LABELS.items())
    version = kfp.V2beta1PipelineVersion(pipeline_version_id="version-1", description=described)
    return kfp.ApiClient(kfp.Configuration()).sanitize_for_serialization(version)


def vertex_answer(run: Path, place: Place, *, names: str = "camelCase") -> dict[str, Any]:
    """`GetPipelineJob` of a run, with the names of the REST API or of the messages."""
    record = RunRecord.model_validate_json((run / "run.json").read_bytes())
    details = [vertex.PipelineTaskDetail(task_id=0, task_name="veo-from-scratch-20261128103643-0")]
    artifacts: dict[str, vertex.Artifact] = {}
    for number, task in enumerate(record.tasks, start=1):
        detail = _vertex_task(number, task)
        for given in task.inputs.values():
            if given[0].sha256 in artifacts:
                detail.inputs["clips"] = {"artifacts": [artifacts[given[0].sha256]]}
        if task.outputs:
            other = "another-job" if task.name == _CACHED else JOB.rpartition("/")[2]
            uri = place.put(f"123456789012/{other}/{task.name}_{number}/manifest", task, run)
            digest = task.outputs["manifest"][0].sha256
            artifact = vertex.Artifact(
                name=f"projects/123/locations/us-central1/metadataStores/default/artifacts/{number}",
                uri=uri,
                schema_title="system.Dataset",
                metadata={"digest": digest, "rows": 12.0},
            )
            artifacts[digest] = artifact
            detail.outputs["manifest"] = {"artifacts": [artifact]}
        details.append(detail)
    job = vertex.PipelineJob(
        name=JOB,
        display_name="veo-from-scratch",
        create_time="2026-11-28T10:36:43.5Z",
        end_time="2026-11-28T11:36:43Z" if record.finished else None,
        state=f"PIPELINE_STATE_{_STATES.get(record.state, record.state)}",
        pipeline_spec=spec("vertex"),
        labels=LABELS,
        runtime_config={
            "gcs_output_directory": ROOT,
            "parameter_values": {"seed": 7, "root": "gs://s/store"},
        },
        job_detail={"task_details": details},
    )
    kept = names != "camelCase"
    text = vertex.PipelineJob.to_json(
        job,
        use_integers_for_enums=False,
        preserving_proto_field_name=kept,
        including_default_value_fields=False,
    )
    return json.loads(text)


def _vertex_task(number: int, task: TaskRecord) -> vertex.PipelineTaskDetail:
    state = "SKIPPED" if task.name == _CACHED and task.outputs else task.state
    custom = f"projects/123456789012/locations/us-central1/customJobs/{number}"
    return vertex.PipelineTaskDetail(
        task_id=number,
        parent_task_id=0,
        task_name=task.name.rpartition("/")[2],
        create_time="2026-11-28T10:36:43Z",
        start_time="2026-11-28T10:36:50Z",
        end_time="2026-11-28T10:37:20Z" if task.finished else None,
        state=state,
        error=status_pb2.Status(code=9, message=task.reason) if state == "FAILED" else None,
        execution={"metadata": {"input:seed": 7, "output:digest": "told by the execution"}},
        executor_detail={"container_detail": {"main_job": custom, "failed_main_jobs": [f"{custom}0"]}},
    )


def _driver(name: str) -> kfp.V2beta1PipelineTaskDetail:
    return kfp.V2beta1PipelineTaskDetail(run_id=RUN, task_id=name, display_name=name, state="SUCCEEDED")
