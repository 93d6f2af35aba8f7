"""Machines with accelerators, and whether so many of them make a topology.

Topologies and machine types are those of GKE's TPU tables, which Vertex shares; a TPU's machine type says how
many chips a host has, and hosts x chips per host is the product of the topology.
"""

import difflib
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a machine type, by Vertex's name."""

    accelerator: str
    count: int


@dataclass(frozen=True)
class Chips:
    """The TPU chips of a machine type, by GKE's name of the TPU."""

    accelerator: str
    count: int


def _gpus(prefix: str, accelerator: str, *counts: int) -> dict[str, Gpus | Chips]:
    return {f"{prefix}-{count}g": Gpus(accelerator, count) for count in counts}


def _chips(prefix: str, accelerator: str, *counts: int) -> dict[str, Gpus | Chips]:
    return {f"{prefix}-{count}t": Chips(accelerator, count) for count in counts}


V5E, V6E = "tpu-v5-lite-podslice", "tpu-v6e-slice"
MACHINES = {
    **_gpus("a2-highgpu", "NVIDIA_TESLA_A100", 1, 2, 4, 8),
    **_gpus("a2-ultragpu", "NVIDIA_A100_80GB", 1, 2, 4, 8),
    **_gpus("a3-highgpu", "NVIDIA_H100_80GB", 1, 2, 4, 8),
    **_gpus("a3-megagpu", "NVIDIA_H100_MEGA_80GB", 8),
    **_gpus("a3-ultragpu", "NVIDIA_H200_141GB", 8),
    **_chips("ct5lp-hightpu", V5E, 1, 4, 8),
    **_chips("ct6e-standard", V6E, 1, 4, 8),
}
# The topologies of v5e and v6e; hosts of 1 or 8 chips stand alone.
_TOPOLOGIES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_ALONE = {1: "1x1", 8: "2x4"}


def check_machines(
    machine_type: str, accelerator: str | None, count: int, replicas: int, topology: str | None
) -> None:
    """Whether `replicas` machines of a type have the accelerators that are asked for.

    Args:
        accelerator: Vertex's name of the GPU; none for a TPU.
        count: accelerators of one machine.
        topology: of a TPU's chips over all machines.

    Raises:
        ValueError: they do not.
    """
    machine = MACHINES.get(machine_type)
    if machine is None:
        near = difflib.get_close_matches(machine_type, MACHINES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(MACHINES)}"
        raise ValueError(f"machine_type {machine_type}: not a machine type with accelerators; {hint}")
    if count != machine.count:
        raise ValueError(f"count: {machine_type} has {machine.count} accelerators, not {count}")
    if isinstance(machine, Chips):
        if accelerator is not None:
            raise ValueError(f"accelerator: leave it out, {machine_type} says that it is a TPU")
        check_slice(machine.accelerator, count, replicas, topology)
    elif topology is not None:
        raise ValueError(f"tpu_topology: {machine_type} has GPUs; leave it out")
    elif accelerator != machine.accelerator:
        raise ValueError(f"accelerator: {machine_type} has {machine.accelerator}, not {accelerator}")


def check_slice(accelerator: str | None, count: int, hosts: int, topology: str | None) -> None:
    """Whether `hosts` hosts of `count` chips make a slice of a topology.

    Args:
        accelerator: GKE's name of the TPU.

    Raises:
        ValueError: they do not.
    """
    if accelerator not in (V5E, V6E):
        raise ValueError(f"tpu_accelerator: must be {V5E} or {V6E}, got {accelerator}")
    if count not in (1, 4, 8):
        raise ValueError(f"count: a host of {accelerator} has 1, 4 or 8 chips, not {count}")
    if topology not in _TOPOLOGIES:
        raise ValueError(f"tpu_topology: {accelerator} comes as {', '.join(_TOPOLOGIES)}, not as {topology}")
    if topology != _ALONE.get(count, topology):
        raise ValueError(
            f"tpu_topology: hosts of {count} stand alone as {_ALONE[count]}; take hosts of 4 for {topology}"
        )
    chips = math.prod(map(int, topology.split("x")))
    if hosts * count != chips:
        mend = f"take {chips // count}" if chips >= count else "take a smaller one"
        raise ValueError(
            f"tpu_topology: {topology} is {chips} chips, {hosts} hosts of {count} are {hosts * count}; {mend}"
        )
