"""Where this process is among the machines of a job, read from what the platform puts in the environment.

| platform | variables |
|---|---|
| Vertex AI custom training | `CLUSTER_SPEC`: JSON with the machines of each pool and this one's place |
| Kubeflow Trainer v2 | `PET_NNODES`, `PET_NODE_RANK`, `PET_NPROC_PER_NODE`, `PET_MASTER_ADDR` and `_PORT` |
| hosts of a TPU slice | `TPU_WORKER_HOSTNAMES` (or `TPU_PROCESS_ADDRESSES`) and `TPU_WORKER_ID` |
| torchrun | `RANK`, `LOCAL_RANK`, `WORLD_SIZE`: the processes run already |
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ConfigDict, Field

from veo_core.errors import UsageError
from veo_core.records.base import Record

# Where the machines meet if the platform names no port: torchrun's own.
_PORT = 29400


@dataclass(frozen=True)
class Cluster:
    """The machines that run a stage together.

    Attributes:
        machines: how many there are.
        rank: which one this is, from 0 on.
        address, port: where all of them meet, on the first one; port 0 for any that is free.
        processes: how many processes each shall run; None where the platform leaves it to the devices.
        hosts: names of all machines in their order; none where the platform does not tell.
    """

    machines: int = 1
    rank: int = 0
    address: str = "localhost"
    port: int = 0
    processes: int | None = None
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Cluster":
        """The machines that `environment` tells of; one machine where it tells of none.

        Raises:
            UsageError: a variable is missing or cannot be read; it is named.
        """
        if environment.get("CLUSTER_SPEC"):
            return _vertex(environment["CLUSTER_SPEC"])
        if environment.get("PET_NNODES"):
            return _kubeflow(environment)
        if environment.get("TPU_WORKER_HOSTNAMES") or environment.get("TPU_PROCESS_ADDRESSES"):
            return _tpu(environment)
        return cls()

    def tpu_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What the TPU runtime of this host needs to find the others; nothing where it is set already."""
        if environment.get("TPU_WORKER_HOSTNAMES") or len(self.hosts) < 2:
            return {}
        return {
            "TPU_SKIP_MDS_QUERY": "true",
            "TPU_WORKER_ID": str(self.rank),
            "TPU_WORKER_HOSTNAMES": ",".join(self.hosts),
        }


def started_by_torchrun(environment: Mapping[str, str]) -> bool:
    """Whether this process is one of those that torchrun started, and has its place already."""
    return all(environment.get(name) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))


class _Task(Record):
    model_config = ConfigDict(extra="ignore")

    type: str
    index: int = Field(ge=0)


class _ClusterSpec(Record):
    """The part of Vertex's variable that is read here."""

    model_config = ConfigDict(extra="ignore")

    cluster: dict[str, list[str]]
    task: _Task


def _vertex(text: str) -> Cluster:
    """The replicas of worker pool 0, then those of pool 1, and so on."""
    try:
        spec = _ClusterSpec.parse(json.loads(text), where="CLUSTER_SPEC")
    except json.JSONDecodeError as error:
        raise UsageError(f"CLUSTER_SPEC: not valid JSON: {error}") from None
    pools = sorted(spec.cluster, key=_pool_number)
    places = [(pool, index) for pool in pools for index in range(len(spec.cluster[pool]))]
    if (spec.task.type, spec.task.index) not in places:
        raise UsageError(
            f"CLUSTER_SPEC: its task, replica {spec.task.index} of {spec.task.type}, is not in its cluster"
        )
    addresses = [_address("CLUSTER_SPEC", text) for pool in pools for text in spec.cluster[pool]]
    return Cluster(
        machines=len(places),
        rank=places.index((spec.task.type, spec.task.index)),
        address=addresses[0][0],
        port=addresses[0][1],
        hosts=tuple(host for host, _ in addresses),
    )


def _pool_number(name: str) -> int:
    number = name.removeprefix("workerpool")
    if not number.isdecimal():
        raise UsageError(f"CLUSTER_SPEC: cluster: {name!r} is no worker pool, such as workerpool0")
    return int(number)


def _kubeflow(environment: Mapping[str, str]) -> Cluster:
    machines = _number(environment, "PET_NNODES", least=1)
    rank = _number(environment, "PET_NODE_RANK", default=0 if machines == 1 else None)
    if rank >= machines:
        raise UsageError(f"PET_NODE_RANK: {rank} must be below PET_NNODES, which is {machines}")
    given = environment.get("PET_NPROC_PER_NODE") or "auto"
    processes = None
    if given not in ("auto", "gpu", "cpu"):
        processes = _number(environment, "PET_NPROC_PER_NODE", least=1)
    if machines == 1:
        return Cluster(processes=processes)
    address = environment.get("PET_MASTER_ADDR")
    if not address:
        raise UsageError(f"PET_MASTER_ADDR: must name the first of {machines} machines")
    return Cluster(
        machines=machines,
        rank=rank,
        address=address,
        port=_number(environment, "PET_MASTER_PORT", least=1, default=_PORT),
        processes=processes,
    )


def _tpu(environment: Mapping[str, str]) -> Cluster:
    """One process a host drives all its chips."""
    if environment.get("TPU_WORKER_HOSTNAMES"):
        hosts = environment["TPU_WORKER_HOSTNAMES"].split(",")
    else:
        addresses = environment["TPU_PROCESS_ADDRESSES"].split(",")
        hosts = [_address("TPU_PROCESS_ADDRESSES", address)[0] for address in addresses]
    if not all(hosts):
        raise UsageError("TPU_WORKER_HOSTNAMES: must be names with commas between them")
    if len(hosts) == 1:
        return Cluster(processes=1)
    rank = _number(environment, "TPU_WORKER_ID")
    if rank >= len(hosts):
        raise UsageError(f"TPU_WORKER_ID: {rank} must be below the number of hosts, which is {len(hosts)}")
    return Cluster(
        machines=len(hosts), rank=rank, address=hosts[0], port=_PORT, processes=1, hosts=tuple(hosts)
    )


def _number(environment: Mapping[str, str], name: str, *, least: int = 0, default: int | None = None) -> int:
    text = environment.get(name)
    if not text and default is not None:
        return default
    if not (text and text.isdecimal() and int(text) >= least):
        raise UsageError(f"{name}: {text or ''!r} must be a whole number of at least {least}")
    return int(text)


def _address(name: str, text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT"."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"{name}: {text!r} must be HOST:PORT")
    return host, int(port)
