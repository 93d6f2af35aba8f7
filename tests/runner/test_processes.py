"""Whatever happens to the runner, no process of a task outlives it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import OutputPath
from runner_components import IMAGE, say
from runner_testing import Run, compile_text, states

from veo_core.errors import UsageError
from veo_core.runner import runs, service
from veo_core.runner.execution import Exit, Job, task_environment
from veo_core.runner.execution import run as execute

MAIN = Path(__file__).with_name("run_compiled.py")
TIMEOUT = 60.0


@dsl.container_component
def family(pipe: str, before: str):
    """A process with a child, and a grandchild that left its group; tells their ids and its parent's."""
    program = (
        "sleep 600 & child=$!; setsid sh -c 'echo \"$PPID\" > /dev/null; exec sleep 600' & stray=$!; "
        'echo "$$ $child $stray $PPID" > "$0"; wait'
    )
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [pipe, before])


@dsl.pipeline
def long_run(pipe: str):
    family(pipe=pipe, before=say(text="first").outputs["said"])


def ended(descriptor: int) -> bool:
    """Wait for the end of the process behind a pidfd."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(TIMEOUT * 1000))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def start(tmp_path: Path, pipe: Path) -> Callable[[], tuple["subprocess.Popen[str]", list[int]]]:
    """Start the runner on `long_run`; gives it, and the ids of its task's processes."""
    ir_file = tmp_path / "ir.yaml"
    ir_file.write_text(compile_text(long_run, tmp_path))

    def begin() -> tuple["subprocess.Popen[str]", list[int]]:
        runner = subprocess.Popen(
            [sys.executable, str(MAIN), str(ir_file), str(tmp_path / "runs"), f"pipe={pipe}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        return runner, [int(pid) for pid in pipe.read_text().split()]

    return begin


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_runner_when_signalled_leaves_no_process(
    number: signal.Signals, start: Callable[[], tuple["subprocess.Popen[str]", list[int]]], tmp_path: Path
) -> None:
    runner, family_ids = start()
    watched = [os.pidfd_open(pid) for pid in family_ids]

    runner.send_signal(number)
    _, output = runner.communicate(timeout=TIMEOUT)

    assert all(ended(descriptor) for descriptor in watched)
    record = runs.load_run(tmp_path / "runs")
    if number == signal.SIGKILL:
        assert record.state == "INTERRUPTED"
        assert states(record) == {"say": "SUCCEEDED", "family": "CANCELLED"}
    else:
        assert runner.returncode == 130, output
        assert record.state == "CANCELLED"
        assert states(record) == {"say": "SUCCEEDED", "family": "CANCELLED"}


def test_run_when_repeated_after_a_kill_takes_what_was_done_from_the_cache(
    start: Callable[[], tuple["subprocess.Popen[str]", list[int]]], tmp_path: Path
) -> None:
    for _ in range(2):
        runner, _ = start()
        assert runs.load_run(tmp_path / "runs").state == "RUNNING"
        runner.kill()
        runner.communicate(timeout=TIMEOUT)

    record = runs.load_run(tmp_path / "runs")
    assert states(record)["say"] == "CACHED"
    assert [run.state for run in runs.list_runs(tmp_path / "runs")] == ["INTERRUPTED", "INTERRUPTED"]


def test_task_when_its_supervisor_is_killed_fails_and_its_group_ends(
    start: Callable[[], tuple["subprocess.Popen[str]", list[int]]], tmp_path: Path
) -> None:
    runner, (main, child, stray, supervisor) = start()
    watched = [os.pidfd_open(pid) for pid in (main, child)]

    os.kill(stray, signal.SIGKILL)  # only a living supervisor finds what left the task's group
    os.kill(supervisor, signal.SIGKILL)
    runner.communicate(timeout=TIMEOUT)

    assert all(ended(descriptor) for descriptor in watched)
    assert runner.returncode == 1
    assert "supervisor was killed" in runs.load_run(tmp_path / "runs").tasks[-1].reason


@dsl.container_component
def handshake(pipe: str, answer: str):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'echo ready > "$0"; read word < "$1"'], [pipe, answer])


@dsl.pipeline
def waits_for_answer(pipe: str, answer: str):
    handshake(pipe=pipe, answer=answer)


def test_runner_when_started_under_nohup_outlives_its_terminal(tmp_path: Path, pipe: Path) -> None:
    ir_file, answer = tmp_path / "ir.yaml", tmp_path / "answer"
    ir_file.write_text(compile_text(waits_for_answer, tmp_path))
    os.mkfifo(answer)
    arguments = [str(ir_file), str(tmp_path / "runs"), f"pipe={pipe}", f"answer={answer}"]
    runner = subprocess.Popen(
        ["nohup", sys.executable, str(MAIN), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert pipe.read_text() == "ready\n"

    runner.send_signal(signal.SIGHUP)
    answer.write_text("go on\n")

    assert runner.wait(TIMEOUT) == 0
    assert runs.load_run(tmp_path / "runs").state == "SUCCEEDED"


@dsl.container_component
def endless(said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", "sleep 600"], [said])


@dsl.pipeline
def one_endless():
    endless()


def test_task_when_past_its_time_limit_fails(run: Run) -> None:
    record = run(one_endless, timeout=0.3)

    assert record.tasks[0].state == "FAILED"
    assert "time limit" in record.tasks[0].reason


def job(tmp_path: Path, program: str, **limits: float) -> Job:
    return Job(["sh", "-c", program], task_environment(), str(tmp_path), str(tmp_path / "log"), **limits)


def test_command_when_it_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    result = asyncio.run(execute(job(tmp_path, "trap '' TERM; sleep 600; sleep 600", timeout=0.2, grace=0.2)))

    assert result.code == 128 + signal.SIGKILL


def test_command_when_it_handles_sigterm_may_end_in_its_own_way(tmp_path: Path) -> None:
    program = "trap 'echo saved; exit 9' TERM; sleep 600 & wait"

    result = asyncio.run(execute(job(tmp_path, program, timeout=0.2, grace=TIMEOUT)))

    assert result.code == 9
    assert (tmp_path / "log").read_text() == "saved\n"


def test_command_when_it_ends_takes_its_background_processes_with_it(tmp_path: Path, pipe: Path) -> None:
    watched = tmp_path / "watched"
    os.mkfifo(watched)
    program = f"(trap '' TERM; sleep 600) & setsid sleep 600 & echo $! > {pipe}; read line < {watched}"

    async def watch() -> tuple[Exit, int]:
        running = asyncio.create_task(execute(job(tmp_path, program)))
        stray = os.pidfd_open(int(await asyncio.to_thread(pipe.read_text)))
        await asyncio.to_thread(watched.write_text, "\n")
        return await running, stray

    result, stray = asyncio.run(watch())

    assert result.code == 0
    assert ended(stray)


SERVE = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()}'); time.sleep(600)"


def test_service_when_ready_runs_until_the_block_ends(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with service.running(
        ["python", "-c", SERVE, str(ready)], ready_file=ready, log=tmp_path / "log", timeout=TIMEOUT
    ) as text:
        process = os.pidfd_open(int(text))
    assert ended(process)


def test_service_when_its_owner_is_killed_ends(tmp_path: Path, pipe: Path) -> None:
    ready = tmp_path / "ready"
    program = (
        "import sys; from pathlib import Path; from veo_core.runner import service\n"
        f"with service.running(['python', '-c', {SERVE!r}, {str(ready)!r}], ready_file=Path({str(ready)!r}),"
        f" log=Path({str(tmp_path / 'log')!r})) as text: open({str(pipe)!r}, 'w').write(text); input()"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    served = os.pidfd_open(int(pipe.read_text()))

    owner.kill()
    owner.communicate(timeout=TIMEOUT)

    assert ended(served)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["python", "-c", "import sys; sys.exit('error: port 80 is in use')"], "port 80 is in use"),
        (["no-such-program"], "no-such-program: cannot be started"),
        (["sh", "-c", "sleep 600"], "was not ready within 0.2 s"),
    ],
)
def test_service_when_never_ready_is_an_error_that_says_why(
    command: list[str], message: str, tmp_path: Path
) -> None:
    timeout = 0.2 if "sleep" in command[-1] else TIMEOUT
    with (
        pytest.raises(UsageError, match=message),
        service.running(command, ready_file=tmp_path / "ready", log=tmp_path / "log", timeout=timeout),
    ):
        pass
