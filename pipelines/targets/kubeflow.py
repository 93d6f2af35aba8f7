"""Self-hosted Kubeflow: steps on labelled and tainted nodes, those that share many nodes as TrainJobs."""

from dataclasses import dataclass
from typing import Any

from kfp import kubernetes

from components.stage import ACCELERATOR, CPU, TORCH, Launch
from pipelines.targets.images import Images
from pipelines.targets.profile import KubeflowAccelerator, KubeflowCpuPool, KubeflowProfile
from pipelines.targets.target import Target

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 (where data loaders and collectives look for it)
# What the step needs that creates a TrainJob and follows it for as long as it trains.
_FOLLOWER = {"cpu": "1", "memory": "2Gi"}
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_TPU_LABEL, _TOPOLOGY_LABEL = "cloud.google.com/gke-tpu-accelerator", "cloud.google.com/gke-tpu-topology"


@dataclass(frozen=True)
class _Nodes:
    """What a step asks of the cluster; without accelerators, `resource` is empty."""

    pool: KubeflowCpuPool | KubeflowAccelerator
    labels: dict[str, str]
    resource: str = ""
    count: int = 0
    shared_memory: str = ""


def kubeflow_target(profile: KubeflowProfile, images: Images, choice: KubeflowAccelerator) -> Target:
    """The target of a profile with one of its choices of accelerators."""
    train = images["train-tpu" if choice.is_tpu else "train-gpu"]
    many = choice.nodes > 1
    cpu = profile.pools.cpu
    follower = _cpu_nodes(cpu.model_copy(update=_FOLLOWER))
    nodes = {
        CPU: _cpu_nodes(cpu),
        TORCH: _cpu_nodes(cpu),
        ACCELERATOR: follower if many else _accelerator_node(choice),
    }

    def place(task: Any, pool: str) -> None:
        _place(task, nodes[pool])
        for secret in profile.secrets:
            for variable, key in secret.env.items():
                kubernetes.use_secret_as_env(task, secret.name, {key: variable})
        if profile.queue is not None:
            kubernetes.add_pod_label(task, _QUEUE_LABEL, profile.queue)

    launcher = _train_job(profile, train, choice) if many else ("veo_core.launch.start",)
    return Target(
        name="kubeflow",
        root=profile.root,
        launches={
            CPU: Launch(images["curate"]),
            TORCH: Launch(train),
            ACCELERATOR: Launch(train, launcher),
        },
        place=place,
        retries=3,
    )


def _cpu_nodes(pool: KubeflowCpuPool) -> _Nodes:
    return _Nodes(pool, pool.node_selector)


def _accelerator_node(choice: KubeflowAccelerator) -> _Nodes:
    return _Nodes(choice, _labels(choice), choice.resource, choice.count, choice.shared_memory)


def _labels(choice: KubeflowAccelerator) -> dict[str, str]:
    """The labels of a choice's nodes; GKE labels those of TPUs by the slice that they belong to."""
    if choice.tpu_accelerator is None or choice.tpu_topology is None:
        return choice.node_selector
    return choice.node_selector | {_TPU_LABEL: choice.tpu_accelerator, _TOPOLOGY_LABEL: choice.tpu_topology}


def _place(task: Any, nodes: _Nodes) -> None:
    task.set_cpu_limit(nodes.pool.cpu).set_memory_limit(nodes.pool.memory)
    for key, value in sorted(nodes.labels.items()):
        kubernetes.add_node_selector(task, key, value)
    for key in nodes.pool.tolerations:
        kubernetes.add_toleration(task, key=key, operator="Exists")
    if nodes.resource:
        task.set_accelerator_type(nodes.resource).set_accelerator_limit(nodes.count)
        kubernetes.empty_dir_mount(task, "shared-memory", _SHARED_MEMORY, "Memory", nodes.shared_memory)


def _train_job(profile: KubeflowProfile, image: str, choice: KubeflowAccelerator) -> tuple[str, ...]:
    """The step that runs a stage on many nodes: it creates a TrainJob and follows it to its end."""
    flags = ["--image", image, "--nodes", str(choice.nodes)]
    flags += ["--resource", choice.resource, "--count", str(choice.count)]
    flags += ["--cpu", choice.cpu, "--memory", choice.memory, "--shared-memory", choice.shared_memory]
    if profile.queue is not None:
        flags += ["--queue", profile.queue]
    for key, value in sorted(_labels(choice).items()):
        flags += ["--node-selector", f"{key}={value}"]
    for key in choice.tolerations:
        flags += ["--toleration", key]
    if choice.tpu_topology is not None:
        flags += ["--topology", choice.tpu_topology]
    return ("veo_core.launch.trainjob", *flags)
