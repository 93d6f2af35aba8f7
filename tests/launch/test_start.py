"""A training in several processes, on one machine and on several, that loses processes and machines."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import ends, free_port, kubeflow, start, vertex

from veo_core.storage import Store
from veo_core.train.checkpoint import Checkpoints

sys.path.append(str(Path(__file__).parents[1] / "train"))

from small_run import CONFIG, SmallRun, context

PLATFORMS = {"vertex": vertex, "kubeflow": kubeflow}
Curve = list[dict[str, float]]


@pytest.fixture(scope="module")
def curve(tmp_path_factory) -> Curve:
    """The loss curve of the run without a fault, in one process."""
    return SmallRun().fit(Store(str(tmp_path_factory.mktemp("whole"))))


@pytest.fixture
def root(tmp_path) -> str:
    return str(tmp_path / "store")


def run(root: str, *fault: str) -> list[str]:
    """The arguments of the run, with a fault if it is given."""
    return ["faulty_run", root, CONFIG.model_dump_json(), str(Path(root).with_name("history.json")), *fault]


def started(platform: str, arguments: list[str], *, processes: int = 1) -> list[subprocess.Popen[str]]:
    """Two machines of a platform."""
    port = free_port()
    flags = ["--processes", str(processes)]
    return [start(*flags, *arguments, **PLATFORMS[platform](port, index)) for index in (0, 1)]


def assert_ended_as(root: str, curve: Curve, *, calls: int) -> None:
    """The last start of the run drew so many batches, and the whole of it equals the run without a fault."""
    made = json.loads(Path(root).with_name("history.json").read_text())
    assert made["calls"] == calls
    for row, expected in zip(made["history"], curve, strict=True):
        assert row == pytest.approx(expected, abs=1e-4)


def shards_of_checkpoint(root: str) -> tuple[int, int]:
    """Step of the last checkpoint, and of how many processes it is."""
    _, checkpoint = Checkpoints(context(Store(root))).load()
    return checkpoint.step, len(checkpoint.shards)


def until(what: Callable[[], bool], machines: list[subprocess.Popen[str]]) -> None:
    while not what():
        assert all(machine.poll() is None for machine in machines), ends(*machines)
        time.sleep(0.05)


def test_one_process_on_one_machine_takes_the_place_of_the_launcher():
    process = start("--processes", "1", "whoami")
    assert process.communicate()[0].split() == [str(process.pid), "none", "none"]


def test_process_of_torchrun_starts_no_others():
    process = start("--processes", "4", "whoami", RANK="1", LOCAL_RANK="1", WORLD_SIZE="2")
    assert process.communicate()[0].split() == [str(process.pid), "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "platform", "message"),
    [
        (["--processes", "none", "whoami"], {}, "'none' is no whole number"),
        (["whoami"], {"VEO_RESTARTS": "-1"}, "'-1' is no whole number"),
        (["whoami"], {"PET_NNODES": "two"}, "PET_NNODES: 'two' must be a whole number"),
        ([], {}, "MODULE"),
    ],
)
def test_bad_usage_is_told_in_one_line(arguments, platform, message):
    codes, log = ends(start(*arguments, **platform))
    assert codes == [2]
    assert message in log
    assert log.startswith("error: ")
    assert log.count("\n") == 1


@pytest.mark.slow
def test_process_killed_among_four_makes_all_go_on_from_the_last_checkpoint(root, curve):
    codes, log = ends(start("--processes", "4", *run(root, "--rank", "2", "--at", "13", "kill")))
    assert codes == [0], log
    assert "process 2 of this machine was killed by SIGKILL; starting all processes anew" in log
    assert_ended_as(root, curve, calls=CONFIG.steps - 10)
    assert shards_of_checkpoint(root) == (CONFIG.steps, 4)


@pytest.mark.slow
def test_sigterm_on_one_of_two_machines_saves_on_both_and_a_rerun_ends_the_same(root, curve):
    machines = started("vertex", run(root, "--rank", "1", "--at", "7", "wait"))
    until(Path(root).with_name("history.waits").exists, machines)
    machines[1].send_signal(signal.SIGTERM)
    codes, log = ends(*machines)
    assert codes == [143, 143], log
    assert "Traceback" not in log
    assert shards_of_checkpoint(root) == (7, 2)
    rerun = SmallRun()
    for row, expected in zip(rerun.fit(Store(root)), curve, strict=True):
        assert row == pytest.approx(expected, abs=1e-4)
    assert rerun.calls == CONFIG.steps - 7


@pytest.mark.thorough
def test_bad_input_of_one_process_is_told_by_it_and_starts_nothing_anew(root):
    codes, log = ends(start("--processes", "2", *run(root, "--rank", "1", "--at", "3", "misuse")))
    assert codes == [2], log
    assert "[1] error: clip-7: it has no sound\n" in log
    assert log.endswith("launch: process 1 of this machine ended with code 2\n")
    assert "anew" not in log


@pytest.mark.slow
def test_failure_of_every_start_ends_with_its_code_and_last_lines(root):
    fault = run(root, "--rank", "1", "--at", "3", "fail")
    codes, log = ends(start("--processes", "2", "--restarts", "0", *fault))
    assert codes == [1], log
    assert "[1] [rank1]: RuntimeError: the disk is on fire\n" in log


@pytest.mark.slow
def test_sigterm_on_four_processes_saves_and_a_rerun_on_two_machines_ends_the_same(root, curve):
    machine = start("--processes", "4", *run(root, "--rank", "3", "--at", "7", "wait"))
    until(Path(root).with_name("history.waits").exists, [machine])
    machine.send_signal(signal.SIGTERM)
    codes, log = ends(machine)
    assert codes == [143], log
    assert shards_of_checkpoint(root) == (7, 4)
    codes, log = ends(*started("kubeflow", run(root), processes=2))
    assert codes == [0, 0], log
    assert_ended_as(root, curve, calls=CONFIG.steps - 7)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("rank", [0, 3])
def test_process_killed_on_one_of_two_machines_makes_both_go_on(root, curve, platform, rank):
    fault = run(root, "--rank", str(rank), "--at", "13", "kill")
    codes, log = ends(*started(platform, fault, processes=2))
    assert codes == [0, 0], log
    assert_ended_as(root, curve, calls=CONFIG.steps - 10)
    assert shards_of_checkpoint(root) == (CONFIG.steps, 4)


@pytest.mark.slow
def test_machine_that_is_lost_and_comes_back_goes_on_with_the_others(root, curve):
    port = free_port()
    waits = run(root, "--rank", "1", "--at", "13", "wait")
    machines = [start("--processes", "1", *waits, **kubeflow(port, index)) for index in (0, 1)]
    until(Path(root).with_name("history.waits").exists, machines)
    for process in [*children(machines[1].pid), machines[1].pid]:
        os.kill(process, signal.SIGKILL)
    machines[1].communicate()
    again = start("--processes", "1", *run(root), **kubeflow(port, 1))
    codes, log = ends(machines[0], again)
    assert codes == [0, 0], log
    assert_ended_as(root, curve, calls=CONFIG.steps - 10)


@pytest.mark.slow
def test_other_machine_ends_too_when_the_first_gives_up(root):
    fault = run(root, "--rank", "0", "--at", "3", "misuse")
    codes, log = ends(*started("kubeflow", fault))
    assert codes == [2, 1], log
    assert "error: the other machines cannot be reached, or gave up" in log


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
