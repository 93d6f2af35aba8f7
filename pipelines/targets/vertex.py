"""Vertex AI Pipelines: each stage is a custom job, which alone takes a machine type, disk, replicas, Spot."""

import re
from dataclasses import dataclass
from typing import Any

from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component

from components.stage import ACCELERATOR, CPU, TORCH, Launch
from pipelines.targets.images import Images
from pipelines.targets.profile import VertexAccelerator, VertexCpuPool, VertexProfile
from pipelines.targets.target import Target

_PARAMETER = re.compile(r"^\{\{\$\.inputs\.parameters\['(\w+)'\]\}\}$")


@dataclass(frozen=True, kw_only=True)
class _Machines:
    """The machines of a job, in the terms of Vertex's CustomJobSpec."""

    machine_type: str
    disk_gb: int
    strategy: str
    accelerator_type: str = ""
    accelerator_count: int = 1
    replicas: int = 1
    tpu_topology: str | None = None
    max_wait_minutes: int = 24 * 60


def vertex_target(profile: VertexProfile, images: Images, choice: VertexAccelerator) -> Target:
    """The target of a profile with one of its choices of accelerators."""
    train = images["train-tpu" if choice.is_tpu else "train-gpu"]
    machines = {
        CPU: _cpu_machines(profile.pools.cpu),
        TORCH: _cpu_machines(profile.pools.cpu),
        ACCELERATOR: _accelerators(choice),
    }
    secrets = _secrets(profile)
    return Target(
        name="vertex",
        root=profile.root,
        launches={
            CPU: Launch(images["curate"], secrets),
            TORCH: Launch(train, secrets),
            ACCELERATOR: Launch(train, (*secrets, "veo_core.launch.start")),
        },
        wrap=lambda component, pool: _custom_job(profile, component, machines[pool]),
        retries=3,
    )


def _secrets(profile: VertexProfile) -> tuple[str, ...]:
    """What reads a stage's secrets before it starts; custom jobs are handed none."""
    flags = [f"--secret={variable}={name}" for variable, name in profile.secret_versions.items()]
    return ("veo_core.launch.secrets", *flags) if flags else ()


def _cpu_machines(pool: VertexCpuPool) -> _Machines:
    return _Machines(
        machine_type=pool.machine_type, disk_gb=pool.disk_gb, strategy="SPOT" if pool.spot else "STANDARD"
    )


def _accelerators(choice: VertexAccelerator) -> _Machines:
    return _Machines(
        machine_type=choice.machine_type,
        disk_gb=choice.disk_gb,
        strategy=choice.scheduling.upper(),
        accelerator_type=choice.accelerator or "",
        accelerator_count=choice.count,
        replicas=choice.replicas,
        tpu_topology=choice.tpu_topology,
        max_wait_minutes=choice.max_wait_minutes,
    )


def _custom_job(profile: VertexProfile, component: Any, machines: _Machines) -> Any:
    """The component with the same interface whose container runs as a custom job."""
    job = create_custom_training_job_from_component(
        component,
        machine_type=machines.machine_type,
        accelerator_type=machines.accelerator_type,
        accelerator_count=machines.accelerator_count,
        replica_count=machines.replicas,
        boot_disk_size_gb=machines.disk_gb,
        restart_job_on_worker_restart=machines.replicas > 1,
        service_account=profile.service_account,
        network=profile.network or "",
        encryption_spec_key_name=profile.cmek_key or "",
        labels=profile.labels,
        strategy=machines.strategy,
        max_wait_duration=f"{60 * machines.max_wait_minutes}s",
    )
    inputs = component.component_spec.inputs
    structures = {name for name, spec in inputs.items() if spec.type in ("Dict", "List")}
    specs = job.component_spec.inputs["worker_pool_specs"]
    specs.default = [_completed(pool, machines.tpu_topology, structures) for pool in specs.default]
    return job


def _completed(pool: dict[str, Any], topology: str | None, structures: set[str]) -> dict[str, Any]:
    """A worker pool with what the wrapper leaves out: the topology of TPUs, and escapes.

    The arguments travel within a JSON string, in which the quotes of a structure's JSON need escapes; the
    wrapper gives them to the executor's input alone.
    """
    container = pool["container_spec"]
    arguments = [_escaped(argument, structures) for argument in container["args"]]
    machine = pool["machine_spec"] | ({"tpu_topology": topology} if topology else {})
    return pool | {"machine_spec": machine, "container_spec": container | {"args": arguments}}


def _escaped(argument: str, structures: set[str]) -> str:
    match = _PARAMETER.match(argument)
    if match is None or match[1] not in structures:
        return argument
    return f"{{{{$.inputs.parameters['{match[1]}'].json_escape[0]}}}}"
