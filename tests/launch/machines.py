"""Machines of a job, which tests run as processes of this one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What a platform, or a test that runs beside, may have set.
_PLATFORM = (
    "CLUSTER_SPEC",
    "PET_",
    "TPU_",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "MASTER_",
    "VEO_",
    "TORCHELASTIC_",
)


def environment(**changes: str) -> dict[str, str]:
    """The environment of a machine whose platform sets `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PLATFORM)}
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **changes}


def vertex(port: int, index: int, machines: int = 2) -> dict[str, str]:
    """What Vertex AI sets on one of so many machines."""
    rest = [f"localhost:{port}"] * (machines - 1)
    pool, place = ("workerpool0", 0) if index == 0 else ("workerpool1", index - 1)
    cluster = {"workerpool0": [f"localhost:{port}"], "workerpool1": rest}
    spec = {"cluster": cluster, "environment": "cloud", "task": {"type": pool, "index": place}}
    return {"CLUSTER_SPEC": json.dumps(spec)}


def kubeflow(port: int, index: int, machines: int = 2, processes: int = 2) -> dict[str, str]:
    """What Kubeflow Trainer sets on one of so many machines."""
    return {
        "PET_NNODES": str(machines),
        "PET_NODE_RANK": str(index),
        "PET_NPROC_PER_NODE": str(processes),
        "PET_MASTER_ADDR": "localhost",
        "PET_MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def start(*arguments: str, **platform: str) -> subprocess.Popen[str]:
    """`veo_core.launch.start` on a machine."""
    return subprocess.Popen(
        [sys.executable, "-m", "veo_core.launch.start", *arguments],
        env=environment(**platform),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends(*machines: subprocess.Popen[str]) -> tuple[list[int], str]:
    """Exit codes of all, and what they wrote to their error streams."""
    logs = [machine.communicate(timeout=300)[1] for machine in machines]
    return [machine.returncode for machine in machines], "".join(logs)
