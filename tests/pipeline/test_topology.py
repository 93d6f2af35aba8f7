"""Whether the machines of a profile exist and make the topology that it asks for, judged before compiling."""

from pathlib import Path
from typing import Any

import pytest
from example_profiles import write_profile

from pipelines.targets.remote import load_target
from veo_core.errors import UsageError

V5E, V6E = "tpu-v5-lite-podslice", "tpu-v6e-slice"


def tpu(machine_type: str, replicas: int, topology: str | None, count: int | None = None) -> dict[str, Any]:
    chips = int(machine_type.rsplit("-", 1)[1].removesuffix("t"))
    return {
        "machine_type": machine_type, "count": count or chips, "replicas": replicas, "tpu_topology": topology,
    }  # fmt: skip


def gpu(machine_type: str, accelerator: str | None, count: int, replicas: int = 1) -> dict[str, Any]:
    return {
        "machine_type": machine_type, "accelerator": accelerator, "count": count, "replicas": replicas,
    }  # fmt: skip


def nodes(accelerator: str | None, count: int, nodes: int, topology: str | None) -> dict[str, Any]:
    return {
        "resource": "google.com/tpu", "count": count, "nodes": nodes, "tpu_accelerator": accelerator,
        "tpu_topology": topology, "cpu": "100", "memory": "400Gi", "tolerations": ["google.com/tpu"],
    }  # fmt: skip


H100, MEGA, H200 = "NVIDIA_H100_80GB", "NVIDIA_H100_MEGA_80GB", "NVIDIA_H200_141GB"


@pytest.mark.parametrize(
    "choice",
    [
        tpu("ct5lp-hightpu-1t", 1, "1x1"),
        tpu("ct5lp-hightpu-4t", 1, "2x2"),
        tpu("ct5lp-hightpu-8t", 1, "2x4"),
        tpu("ct5lp-hightpu-4t", 2, "2x4"),
        tpu("ct5lp-hightpu-4t", 64, "16x16"),
        tpu("ct6e-standard-1t", 1, "1x1"),
        tpu("ct6e-standard-8t", 1, "2x4"),
        tpu("ct6e-standard-4t", 4, "4x4"),
        tpu("ct6e-standard-4t", 32, "8x16"),
        gpu("a3-highgpu-1g", H100, 1),
        gpu("a3-highgpu-4g", H100, 4),
        gpu("a3-highgpu-8g", H100, 8, replicas=16),
        gpu("a3-megagpu-8g", MEGA, 8, replicas=2),
        gpu("a3-ultragpu-8g", H200, 8),
    ],
    ids=lambda choice: f"{choice['machine_type']} x {choice['replicas']}",
)
def test_machines_that_exist_are_taken(choice: dict[str, Any], tmp_path: Path) -> None:
    assert load_target(write_profile(tmp_path, "vertex", accelerator=choice)).name == "vertex"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (tpu("ct5lp-hightpu-4t", 4, "2x4"), "2x4 is 8 chips, 4 hosts of 4 are 16; take 2"),
        (tpu("ct5lp-hightpu-4t", 1, "16x16"), "16x16 is 256 chips, 1 hosts of 4 are 4; take 64"),
        (tpu("ct5lp-hightpu-4t", 1, "1x1"), "take a smaller one"),
        (tpu("ct5lp-hightpu-8t", 2, "4x4"), "hosts of 8 stand alone as 2x4; take hosts of 4 for 4x4"),
        (tpu("ct5lp-hightpu-1t", 4, "2x2"), "hosts of 1 stand alone as 1x1; take hosts of 4 for 2x2"),
        (tpu("ct5lp-hightpu-8t", 2, "2x4"), "2 hosts of 8 are 16; take 1"),
        (tpu("ct5lp-hightpu-4t", 4, "4x4", count=8), "ct5lp-hightpu-4t has 4 accelerators, not 8"),
        (tpu("ct6e-standard-4t", 4, "2x8"), "comes as 1x1, 2x2, 2x4"),
        (tpu("ct6e-standard-4t", 4, "2x2x4"), "comes as 1x1, 2x2, 2x4"),
        (tpu("ct6e-standard-4t", 3, "4x4"), "3 hosts of 4 are 12; take 4"),
        (tpu("ct6e-standard-4t", 1, None), "not as None"),
        (tpu("ct6e-standard-2t", 2, "2x2"), "did you mean ct6e-standard-"),
        (tpu("ct6e-standard-4t", 1, "2x2") | {"accelerator": "TPU_V5_LITEPOD"}, "accelerator: leave it out"),
        (gpu("a3-highgpu-8g", H100, 4), "a3-highgpu-8g has 8 accelerators, not 4"),
        (gpu("a3-highgpu-2g", H200, 2), f"a3-highgpu-2g has {H100}, not {H200}"),
        (gpu("a3-megagpu-8g", H100, 8), f"a3-megagpu-8g has {MEGA}, not {H100}"),
        (gpu("a3-megagpu-4g", MEGA, 4), "did you mean a3-megagpu-8g"),
        (gpu("a3-ultragpu-8g", None, 8), f"a3-ultragpu-8g has {H200}, not None"),
        (gpu("a3-ultragpu-8g", H200, 8) | {"tpu_topology": "2x4"}, "a3-ultragpu-8g has GPUs; leave it out"),
        (gpu("n1-standard-8", None, 1), "not a machine type with accelerators"),
    ],
)
def test_machines_that_do_not_exist_are_told_in_one_line(
    choice: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = write_profile(tmp_path, "vertex", accelerator=choice)
    with pytest.raises(UsageError) as caught:
        load_target(path)
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"{path}: pools.accelerator.0")
    assert "\n" not in message


@pytest.mark.parametrize(
    "choice",
    [nodes(V5E, 1, 1, "1x1"), nodes(V5E, 4, 16, "8x8"), nodes(V6E, 8, 1, "2x4"), nodes(V6E, 4, 2, "2x4")],
)
def test_nodes_that_make_a_slice_are_taken(choice: dict[str, Any], tmp_path: Path) -> None:
    assert load_target(write_profile(tmp_path, "kubeflow", accelerator=choice)).name == "kubeflow"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (nodes(V5E, 4, 8, "8x8"), "8x8 is 64 chips, 8 hosts of 4 are 32; take 16"),
        (nodes(V6E, 8, 2, "4x4"), "take hosts of 4 for 4x4"),
        (nodes(V6E, 2, 2, "2x2"), "has 1, 4 or 8 chips, not 2"),
        (nodes("tpu-v4-podslice", 4, 1, "2x2"), "tpu_accelerator: must be"),
        (nodes(V6E, 4, 1, None), "not as None"),
        (nodes(V6E, 4, 1, "2x2") | {"tolerations": []}, "tolerations"),
        (
            nodes(None, 8, 1, None) | {"resource": "nvidia.com/gpu", "tolerations": ["nvidia.com/gpu"]},
            "node_selector: name a label of the GPU nodes",
        ),
        (nodes(V6E, 4, 1, "2x2") | {"resource": "nvidia.com/gpu"}, "belong to google.com/tpu"),
    ],
)  # fmt: skip
def test_nodes_that_make_no_slice_are_told_in_one_line(
    choice: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        load_target(write_profile(tmp_path, "kubeflow", accelerator=choice))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
