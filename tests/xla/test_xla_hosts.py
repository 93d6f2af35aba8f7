"""Several hosts of torch-xla, as far as a machine without a TPU shows it.

What the TPU runtime is told is read back by torch-xla itself. Two hosts are two processes with XLA's CPU
backend, which knows no others: each computes the whole of the same program, as the hosts of a slice do
together. That shows who saves, publishes and stops, and not the communication between chips.
"""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from veo_core.launch.cluster import Cluster
from veo_core.storage import Store
from veo_core.train.checkpoint import Checkpoints

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "train"), str(TESTS / "launch")]

from machines import ends, free_port, start, vertex  # noqa: E402
from small_run import CONFIG, context  # noqa: E402

pytestmark = pytest.mark.xla

XLA = CONFIG.model_copy(update={"steps": 12, "runtime": {"accelerator": "xla", "bfloat16": False}})


def test_torch_xla_reads_the_hosts_that_vertex_names(monkeypatch):
    from torch_xla._internal import tpu

    for name, value in Cluster.of(vertex(2222, 2, machines=3)).tpu_environment({}).items():
        monkeypatch.setenv(name, value)
    assert tpu.get_worker_ips() == ["localhost"] * 3
    assert tpu.worker_id() == 2


def test_two_hosts_stop_together_and_go_on_to_the_end_of_one_host(tmp_path):
    def hosts(name: str, count: int, *fault: str) -> list:
        config = json.dumps(XLA.model_dump(mode="json", warnings=False))
        arguments = ["faulty_run", str(tmp_path / name), config, str(tmp_path / f"{name}.json"), *fault]
        port = free_port()
        return [start(*arguments, **vertex(port, index, count)) for index in range(count)]

    assert ends(*hosts("one", 1))[0] == [0]
    machines = hosts("two", 2, "--rank", "1", "--at", "7", "wait")
    while not (tmp_path / "two.waits").exists():
        assert all(machine.poll() is None for machine in machines), ends(*machines)
        time.sleep(0.05)
    machines[1].send_signal(signal.SIGTERM)
    codes, log = ends(*machines)
    assert codes == [143, 143], log
    _, checkpoint = Checkpoints(context(Store(str(tmp_path / "two")))).load()
    assert (checkpoint.step, len(checkpoint.shards)) == (7, 1)
    codes, log = ends(*hosts("two", 2))
    assert codes == [0, 0], log
    assert log.count("s a step") == 1
    whole, resumed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert resumed["calls"] == 5
    for row, expected in zip(resumed["history"], whole["history"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
