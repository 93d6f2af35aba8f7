"""Profiles: where a remote target runs the pipeline, as YAML files that users keep."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.targets.machines import check_machines, check_slice
from veo_core.errors import UsageError
from veo_core.records.base import Record, read_yaml

Label = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]
LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
SecretName = Annotated[
    str, Field(pattern=r"^(projects/[a-z0-9-]+/secrets/)?[A-Za-z0-9_-]{1,255}(/versions/(latest|[0-9]+))?$")
]
Cpus = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?m?$")]
Bytes = Annotated[str, Field(pattern=r"^[0-9]+([KMGT]i?)?$")]


class VertexCpuPool(Record):
    """Machines of the stages that need no accelerator.

    Attributes:
        machine_type: such as "n2-standard-16".
        disk_gb: the boot disk; the work of a stage passes through it.
        spot: cheaper machines that may be taken away; a stage then runs again and repeats nothing done.
    """

    machine_type: str
    disk_gb: int = Field(default=200, ge=100, le=64000)
    spot: bool = False


class VertexAccelerator(Record):
    """One choice of machines with accelerators.

    Attributes:
        machine_type: such as "a3-highgpu-8g" or "ct5lp-hightpu-4t".
        accelerator: Vertex's name of the GPU, such as "NVIDIA_H100_80GB"; none for TPUs, whose machine type
            says it.
        count: accelerators of one machine; TPU machine types say it, too.
        replicas: machines of a training job.
        tpu_topology: how the chips of all machines are wired, such as "4x4"; TPUs only.
        disk_gb: the boot disk of one machine.
        scheduling: "standard", "spot" (may be taken away), or "flex_start" (waits for capacity).
        max_wait_minutes: how long a flex_start job waits.
    """

    machine_type: str
    accelerator: str | None = None
    count: int = Field(ge=1)
    replicas: int = Field(default=1, ge=1)
    tpu_topology: str | None = None
    disk_gb: int = Field(default=500, ge=100, le=64000)
    scheduling: Literal["standard", "spot", "flex_start"] = "standard"
    max_wait_minutes: int = Field(default=24 * 60, ge=1)

    @property
    def is_tpu(self) -> bool:
        return self.tpu_topology is not None

    @model_validator(mode="after")
    def _machines_exist(self) -> Self:
        check_machines(self.machine_type, self.accelerator, self.count, self.replicas, self.tpu_topology)
        return self


class VertexPools(Record):
    """Machines for each kind of stage; `accelerator` lists choices, the preferred one first."""

    cpu: VertexCpuPool
    accelerator: list[VertexAccelerator] = Field(min_length=1)


class VertexProfile(Record):
    """A project on Vertex AI Pipelines.

    Attributes:
        project, region: where the jobs run.
        bucket: `gs://` address under which the store and the pipeline's root lie.
        service_account: runs the jobs.
        network: full name of a peered network, projects/NUMBER/global/networks/NAME.
        cmek_key: full name of the key that encrypts what the jobs make.
        labels: put on every job.
        experiment: the Vertex experiment that collects runs.
        model_registry: whether approved models become versions in Vertex AI's Model Registry, too, which the
            image `serve` serves.
        secrets: environment variable of every stage -> secret of Secret Manager, such as "judge-key",
            "judge-key/versions/3" or one of another project by its full name.
        images: path of images.lock.json; relative ones start at the profile's folder.
    """

    target: Literal["vertex"]
    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")
    bucket: str = Field(pattern=r"^gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[^/]+)*$")
    service_account: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.gserviceaccount\.com$")
    network: str | None = Field(default=None, pattern=r"^projects/[0-9]+/global/networks/[a-z0-9-]+$")
    cmek_key: str | None = Field(
        default=None, pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$"
    )
    labels: dict[LabelKey, Label] = Field(default={})
    experiment: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,127}$")
    model_registry: bool = False
    secrets: dict[Variable, SecretName] = Field(default={})
    images: str
    pools: VertexPools

    @property
    def root(self) -> str:
        """Address of the store."""
        return f"{self.bucket}/store"

    @property
    def secret_versions(self) -> dict[str, str]:
        """Full names, projects/PROJECT/secrets/NAME/versions/VERSION, by environment variable."""
        return {variable: self._full(name) for variable, name in sorted(self.secrets.items())}

    def _full(self, name: str) -> str:
        secret = name if name.startswith("projects/") else f"projects/{self.project}/secrets/{name}"
        return secret if "/versions/" in secret else f"{secret}/versions/latest"


class Secret(Record):
    """A Kubernetes secret whose keys become environment variables of every stage.

    Attributes:
        name: the secret's name in the profile's namespace.
        env: environment variable -> key of the secret.
    """

    name: str
    env: dict[str, str] = Field(min_length=1)


class KubeflowCpuPool(Record):
    """Nodes of the stages that need no accelerator.

    Attributes:
        cpu, memory: limits of a step, as Kubernetes writes them.
        node_selector: labels of the nodes.
        tolerations: keys of taints that the steps tolerate.
    """

    cpu: Cpus
    memory: Bytes
    node_selector: dict[str, str] = Field(default={})
    tolerations: list[str] = Field(default=[])


class KubeflowAccelerator(Record):
    """One choice of nodes with accelerators.

    Attributes:
        resource: what the nodes offer.
        count: accelerators of one node.
        nodes: nodes of a training job.
        tpu_accelerator: GKE's name of the TPU, the value of the label cloud.google.com/gke-tpu-accelerator.
        tpu_topology: how the chips of all nodes are wired, such as "4x4".
        cpu, memory: limits of a step on such a node.
        shared_memory: size of /dev/shm, which data loaders and collectives use.
        node_selector: labels of the nodes, besides those of TPUs.
        tolerations: keys of taints that the steps tolerate.
    """

    resource: Literal["nvidia.com/gpu", "google.com/tpu"]
    count: int = Field(ge=1)
    nodes: int = Field(default=1, ge=1)
    tpu_accelerator: str | None = None
    tpu_topology: str | None = None
    cpu: Cpus
    memory: Bytes
    shared_memory: Bytes = "16Gi"
    node_selector: dict[str, str] = Field(default={})
    tolerations: list[str] = Field(min_length=1)

    @property
    def is_tpu(self) -> bool:
        return self.resource == "google.com/tpu"

    @model_validator(mode="after")
    def _nodes_exist(self) -> Self:
        if self.is_tpu:
            check_slice(self.tpu_accelerator, self.count, self.nodes, self.tpu_topology)
        elif self.tpu_accelerator or self.tpu_topology:
            raise ValueError("tpu_accelerator and tpu_topology belong to google.com/tpu")
        elif not self.node_selector:
            raise ValueError("node_selector: name a label of the GPU nodes")
        return self


class KubeflowPools(Record):
    """Nodes for each kind of stage; `accelerator` lists choices, the preferred one first."""

    cpu: KubeflowCpuPool
    accelerator: list[KubeflowAccelerator] = Field(min_length=1)


class KubeflowProfile(Record):
    """A self-hosted Kubeflow Pipelines.

    Attributes:
        endpoint: address of its API.
        namespace: where the steps run.
        root: `s3://` or `gs://` address of the store.
        experiment: collects the runs.
        service_account: runs the steps.
        secrets: what the steps get as environment variables, by reference.
        model_registry: address of the Model Registry that gets approved models, besides the store's own.
        queue: the Kueue queue that admits the steps; none where Kueue is not installed.
        images: path of images.lock.json; relative ones start at the profile's folder.
    """

    target: Literal["kubeflow"]
    endpoint: str = Field(pattern=r"^https?://\S+$")
    namespace: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    root: str = Field(pattern=r"^(s3|gs)://\S+$")
    experiment: str = "Default"
    service_account: str
    secrets: list[Secret] = Field(default=[])
    model_registry: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    queue: str | None = None
    images: str
    pools: KubeflowPools


Profile = VertexProfile | KubeflowProfile
_PROFILES: dict[str, type[VertexProfile] | type[KubeflowProfile]] = {
    "vertex": VertexProfile,
    "kubeflow": KubeflowProfile,
}


def load_profile(path: str | Path) -> Profile:
    """Read a profile; its `target` says which kind it is.

    Raises:
        UsageError: the file cannot be read, or a field is missing, unknown or impossible.
    """
    value = read_yaml(path)
    target = value.get("target") if isinstance(value, dict) else None
    if not isinstance(target, str) or target not in _PROFILES:
        raise UsageError(f"{path}: target: must be one of {', '.join(_PROFILES)}, got {target!r}")
    return _PROFILES[target].parse(value, where=str(path))
