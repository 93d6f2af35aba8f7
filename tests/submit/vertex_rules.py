"""What Vertex AI demands of a pipeline job, as strictly as its documentation says it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ir_rules
from google.cloud.aiplatform_v1.types import AcceleratorType, CustomJobSpec, Scheduling, pipeline_service
from google.protobuf import json_format

_PARENT = re.compile(r"^projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/locations/([a-z]+-[a-z]+[0-9]+)$")
_JOB_ID = re.compile(r"^[a-z][-a-z0-9]{0,127}$")
_LABEL = re.compile(r"^[a-z0-9_-]{0,63}$")
_ACCOUNT = re.compile(r"^[^@\s]+@[^@\s]+\.gserviceaccount\.com$")
_NETWORK = re.compile(r"^projects/[0-9]+/global/networks/[a-z][a-z0-9-]*$")
_KEY = re.compile(r"^projects/[^/]+/locations/([^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+$")
_TPU_CHIPS = re.compile(r"^(?:ct5lp-hightpu|ct6e-standard)-([148])t$")
_GPU_MACHINES = {
    "a2-highgpu": "NVIDIA_TESLA_A100",
    "a2-ultragpu": "NVIDIA_A100_80GB",
    "a3-highgpu": "NVIDIA_H100_80GB",
    "a3-megagpu": "NVIDIA_H100_MEGA_80GB",
    "a3-ultragpu": "NVIDIA_H200_141GB",
}


def problems(request: pipeline_service.CreatePipelineJobRequest, secrets: Sequence[str]) -> list[str]:
    """Every reason to refuse the request."""
    return list(_problems(request, secrets))


def _problems(request: pipeline_service.CreatePipelineJobRequest, secrets: Sequence[str]) -> Iterator[str]:
    message = json_format.MessageToDict(type(request).pb(request))
    job = message["pipelineJob"]
    place = _PARENT.match(request.parent)
    if not place:
        yield f"parent: {request.parent}"
    if not _JOB_ID.match(request.pipeline_job_id):
        yield f"pipeline_job_id: {request.pipeline_job_id}"
    if not 0 < len(job.get("displayName", "")) <= 128:
        yield "display_name: 1 to 128 characters"
    yield from _label_problems(job.get("labels", {}))
    if not _ACCOUNT.match(job.get("serviceAccount", "")):
        yield f"service_account: {job.get('serviceAccount')}"
    if "network" in job and not _NETWORK.match(job["network"]):
        yield f"network: {job['network']}"
    key = job.get("encryptionSpec", {}).get("kmsKeyName")
    if key and not (place and (found := _KEY.match(key)) and found.group(1) == place.group(1)):
        yield f"encryption_spec: {key} is not a key of the job's region"
    spec, runtime = job["pipelineSpec"], job["runtimeConfig"]
    if not runtime.get("gcsOutputDirectory", "").startswith("gs://"):
        yield f"gcs_output_directory: {runtime.get('gcsOutputDirectory')}"
    wrong = list(ir_rules.spec_problems(spec))
    yield from wrong
    if not wrong:
        yield from ir_rules.parameter_problems(spec, runtime.get("parameterValues", {}))
        yield from _custom_job_problems(spec)
    yield from ir_rules.secret_problems(str(message), list(secrets))


def _label_problems(labels: Mapping[str, str]) -> Iterator[str]:
    if len(labels) > 64:
        yield f"labels: {len(labels)}, at most 64"
    for key, value in labels.items():
        if not key or not key[0].isalpha() or not _LABEL.match(key) or not _LABEL.match(value):
            yield f"label {key}: {value}"


def custom_jobs(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The custom jobs of a pipeline: the task's name and its parameters, defaults included."""
    components = spec["components"]
    for component in [spec["root"], *components.values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            definitions = components[task["componentRef"]["name"]].get("inputDefinitions", {})
            known = definitions.get("parameters", {})
            if "worker_pool_specs" in known:
                given = task.get("inputs", {}).get("parameters", {})
                set_here = {
                    key: value["runtimeValue"]["constant"]
                    for key, value in given.items()
                    if "runtimeValue" in value
                }
                yield name, {key: value.get("defaultValue") for key, value in known.items()} | set_here


def _custom_job_problems(spec: Mapping[str, Any]) -> Iterator[str]:
    for name, values in custom_jobs(spec):
        pools = values["worker_pool_specs"]
        try:
            json_format.ParseDict({"worker_pool_specs": pools}, CustomJobSpec.pb(CustomJobSpec()))
        except json_format.ParseError as error:
            yield f"{name}: worker_pool_specs: {error}"
            continue
        for problem in _pool_problems(pools):
            yield f"{name}: {problem}"
        if values["strategy"] not in Scheduling.Strategy.__members__:
            yield f"{name}: strategy {values['strategy']}"
        labels = values.get("labels")
        yield from _label_problems(labels if isinstance(labels, dict) else {})


def _pool_problems(pools: list[dict[str, Any]]) -> Iterator[str]:
    if not 1 <= len(pools) <= 4:
        yield f"{len(pools)} worker pools"
    if pools[0]["replica_count"] != 1:
        yield f"the first worker pool has {pools[0]['replica_count']} replicas, not 1"
    machine = pools[0]["machine_spec"]
    if any(pool["machine_spec"] != machine for pool in pools):
        yield "worker pools of different machines"
    for pool in pools:
        if pool["replica_count"] < 1:
            yield "an empty worker pool"
        if not ir_rules.is_digest(pool["container_spec"]["image_uri"]):
            yield f"image {pool['container_spec']['image_uri']} is not a digest"
    replicas = sum(pool["replica_count"] for pool in pools)
    yield from _machine_problems(machine, int(replicas))


def _machine_problems(machine: Mapping[str, Any], replicas: int) -> Iterator[str]:
    kind = machine["machine_type"]
    if tpu := _TPU_CHIPS.match(kind):
        if "accelerator_type" in machine or "accelerator_count" in machine:
            yield f"{kind} takes no accelerator"
        chips = math.prod(map(int, str(machine.get("tpu_topology", "0")).split("x")))
        if replicas * int(tpu.group(1)) != chips:
            yield f"{replicas} hosts of {kind} make no {machine.get('tpu_topology')}"
        return
    if "tpu_topology" in machine:
        yield f"{kind} takes no topology"
    prefix, _, size = kind.rpartition("-")
    expected = _GPU_MACHINES.get(prefix)
    accelerator = machine.get("accelerator_type")
    if accelerator != expected:
        yield f"{kind} has {expected}, not {accelerator}"
    elif expected:
        if accelerator not in AcceleratorType.__members__:
            yield f"accelerator_type {accelerator}"
        if machine.get("accelerator_count") != int(size.removesuffix("g")):
            yield f"{kind} has not {machine.get('accelerator_count')} accelerators"
