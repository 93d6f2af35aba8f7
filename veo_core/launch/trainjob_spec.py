"""The TrainJob of Kubeflow Trainer v2.3 (`trainer.kubeflow.org/v1alpha1`) that runs a stage."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from veo_core.errors import UsageError

API_GROUP, API_VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"

# Names that Kubeflow Trainer gives to the job of the trainers within a runtime, and to its container.
NODE = "node"

_MANAGER = "veo.launch/trainjob"
_TOPOLOGY_LABEL = "cloud.google.com/gke-tpu-topology"
_SAVE_SECONDS = 300


@dataclass(frozen=True)
class Placement:
    """Which machines a stage runs on, and how many.

    Attributes:
        nodes: machines.
        resource, count: the accelerators of each, such as 8 of "nvidia.com/gpu".
        requests: further resources of each, such as cpu and memory.
        shared_memory: size of /dev/shm, such as "64Gi"; None for the engine's own, which is 64 MiB.
        queue: the Kueue queue to wait in.
        topology: shape of a TPU slice, such as "4x4".
        node_selector, tolerations: labels of the machines, and keys of the taints that may be on them.
        runtime: the ClusterTrainingRuntime, which must be one of torch.
    """

    nodes: int
    resource: str
    count: int
    requests: Mapping[str, str] = field(default_factory=dict)
    shared_memory: str | None = None
    queue: str | None = None
    topology: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[str] = ()
    runtime: str = "torch-distributed"

    def __post_init__(self) -> None:
        if self.topology is None:
            return
        sides = self.topology.split("x")
        if not all(side.isdecimal() for side in sides):
            raise UsageError(f"--topology {self.topology}: must be numbers with x between them, as in 4x4")
        chips, needed = self.nodes * self.count, math.prod(map(int, sides))
        if chips != needed:
            raise UsageError(
                f"--topology {self.topology}: has {needed} chips; --nodes {self.nodes} with "
                f"--count {self.count} have {chips}"
            )

    @property
    def processes(self) -> int:
        """Processes of a machine: one a GPU; one drives all chips of a TPU host."""
        return self.count if self.resource.endswith("/gpu") else 1


@dataclass(frozen=True)
class Step:
    """The pod that asks for the TrainJob, of which the job's pods take over what they need.

    Attributes:
        owner: its reference as the owner of the job, so that the job goes when the pod goes.
        environment: its variables that refer to secrets and config maps, as Kubernetes declares them.
        service_account: under which it runs.
    """

    owner: Mapping[str, Any] | None = None
    environment: Sequence[Mapping[str, Any]] = ()
    service_account: str | None = None

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> "Step":
        """Read a pod; of several containers, KFP's `main` is the stage's."""
        containers = pod["spec"]["containers"]
        main = next((c for c in containers if c["name"] == "main"), containers[0])
        kept = ("secretKeyRef", "configMapKeyRef")
        return cls(
            owner={
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            },
            environment=[
                variable
                for variable in main.get("env") or ()
                if any(source in kept for source in variable.get("valueFrom") or ())
            ],
            service_account=pod["spec"].get("serviceAccountName"),
        )


def train_job(
    name: str, image: str, command: Sequence[str], placement: Placement, step: Step
) -> dict[str, Any]:
    """The object to create."""
    metadata: dict[str, Any] = {"name": name, "labels": {"app.kubernetes.io/managed-by": "veo"}}
    if placement.queue:
        metadata["labels"]["kueue.x-k8s.io/queue-name"] = placement.queue
    if step.owner:
        metadata["ownerReferences"] = [dict(step.owner)]
    limits = {placement.resource: str(placement.count), **placement.requests}
    return {
        "apiVersion": f"{API_GROUP}/{API_VERSION}",
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {
            "runtimeRef": {
                "apiGroup": API_GROUP,
                "kind": "ClusterTrainingRuntime",
                "name": placement.runtime,
            },
            "trainer": {
                "image": image,
                "command": [_literal(part) for part in command],
                "numNodes": placement.nodes,
                "numProcPerNode": placement.processes,
                "resourcesPerNode": {"limits": limits, "requests": limits},
                "env": [dict(variable) for variable in step.environment],
            },
            "runtimePatches": [_patch(_pod(placement, step))],
        },
    }


def _pod(placement: Placement, step: Step) -> dict[str, Any]:
    """What is changed in the pods that the runtime declares."""
    selector = dict(placement.node_selector)
    if placement.topology:
        selector[_TOPOLOGY_LABEL] = placement.topology
    pod: dict[str, Any] = {
        "nodeSelector": selector,
        "tolerations": [{"key": key, "operator": "Exists"} for key in placement.tolerations],
        "terminationGracePeriodSeconds": _SAVE_SECONDS,
    }
    if step.service_account:
        pod["serviceAccountName"] = step.service_account
    if placement.shared_memory:
        memory = {"medium": "Memory", "sizeLimit": placement.shared_memory}
        pod["volumes"] = [{"name": "shared-memory", "emptyDir": memory}]
        mount = {"name": "shared-memory", "mountPath": "/dev/shm"}  # noqa: S108
        pod["containers"] = [{"name": NODE, "volumeMounts": [mount]}]
    return pod


def _patch(pod: dict[str, Any]) -> dict[str, Any]:
    jobs = [{"name": NODE, "template": {"spec": {"template": {"spec": pod}}}}]
    return {
        "manager": _MANAGER,
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": jobs}}},
    }


def _literal(argument: str) -> str:
    """An argument in which Kubernetes finds no variable to put in."""
    return argument.replace("$(", "$$(")
