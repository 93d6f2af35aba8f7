"""Tasks in containers: what the engine is asked to do, and that nothing outlives a run."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import OutputPath
from runner_components import say
from runner_testing import Run, compile_text, states, tasks

from veo_core.errors import UsageError
from veo_core.runner import docker, execution, ir
from veo_core.runner.docker import Docker, Image
from veo_core.runner.execution import Job
from veo_core.runner.executor import Work

BASE = "python:3.11-slim-bookworm"
TIMEOUT = 60.0


def docker_command(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def engine_has_base() -> bool:
    if shutil.which("docker") is None:
        return False
    return any(
        subprocess.run(["docker", *command], capture_output=True).returncode == 0
        for command in (["image", "inspect", BASE], ["pull", "--quiet", BASE])
    )


needs_engine = pytest.mark.skipif(not engine_has_base(), reason=f"no Docker engine with {BASE}")


def executor_of(*folders: Path, image: str = "sha256:0") -> Docker:
    return Docker(pools={"cpu": Image(BASE, image), "accelerator": Image("gpu", "sha256:1")}, folders=folders)


def work(tmp_path: Path, program: str, *, accelerator: bool = False, **env: str) -> Work:
    return Work(
        argv=["sh", "-c", program], env=env, accelerator=accelerator, log=str(tmp_path / "log"),
        cwd=str(tmp_path),
    )  # fmt: skip


def test_container_gets_variables_by_name_and_no_value_is_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-of-the-owner")
    monkeypatch.setenv("UNRELATED", "of-this-machine")

    job = executor_of(tmp_path).job(work(tmp_path, "true", OPENAI_API_KEY="hush-of-the-run"))

    assert {"OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"} <= set(job.argv)
    assert "UNRELATED" not in job.argv
    assert not any("hush" in argument for argument in job.argv)
    assert job.env["OPENAI_API_KEY"] == "hush-of-the-run"


def test_container_runs_in_the_image_of_its_pool(tmp_path: Path) -> None:
    executor = executor_of(tmp_path)
    for accelerator, image in ((False, "sha256:0"), (True, "sha256:1")):
        task = work(tmp_path, "true", accelerator=accelerator)
        assert image in executor.job(task).argv
        assert executor.code(task) == {"its image": image}


def test_container_gets_gpus_where_the_engine_has_them_and_the_task_asks(tmp_path: Path) -> None:
    executor = Docker(pools=executor_of().pools, folders=[], gpus=True)
    assert "--gpus" in executor.job(work(tmp_path, "true", accelerator=True)).argv
    assert "--gpus" not in executor.job(work(tmp_path, "true")).argv


@dsl.pipeline
def one_task(text: str = "hello"):
    say(text=text)


@pytest.mark.parametrize(
    ("program", "message"),
    [(None, "`docker` is not installed"), ("echo 'cannot connect' >&2; exit 1", "cannot connect")],
)
def test_connect_when_no_engine_answers_says_so(
    program: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if program is not None:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "docker").chmod(0o755)
    pipeline = ir.loads(compile_text(one_task, tmp_path), where="compiled.yaml")
    with pytest.raises(UsageError, match=message):
        docker.connect(pipeline, {"cpu": "veo-curate:latest"}, folders=[])


@pytest.fixture
def connected(tmp_path: Path, load: Callable) -> Docker:
    return docker.connect(load(one_task), {"cpu": BASE}, folders=[tmp_path])


def test_places_that_parameters_name_are_those_that_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("films", "weights", "store", "world"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.bin").write_bytes(b"0")
    (tmp_path / "suite.csv").write_text("prompt\na circle\n")
    parameters = {
        "collect": {"folder": str(tmp_path / "films"), "kind": "world", "prompt": "a circle / a square" * 99},
        "generate": {"suite": {"path": "suite.csv"}, "seeds": [1, 2], "text": "gs://bucket/weights"},
        "evaluate": [{"weights": "weights/clip.bin"}, {"weights": "weights/clip.bin"}, {"weights": "/"}],
        "cache": str(tmp_path / "store" / "clip.bin"),
    }
    found = docker.places_named(parameters, apart_from=[tmp_path / "store"])
    assert found == [tmp_path / "films", tmp_path / "suite.csv", tmp_path / "weights" / "clip.bin"]


@needs_engine
def test_connect_when_a_pool_has_no_image_names_the_pool(load: Callable) -> None:
    with pytest.raises(UsageError, match="no image is given for tasks of the pool 'cpu'"):
        docker.connect(load(one_task), {"accelerator": BASE}, folders=[])


@needs_engine
def test_connect_when_an_image_is_not_here_names_the_command_that_builds_it(load: Callable) -> None:
    with pytest.raises(UsageError, match="veo-none:latest is not on this machine; `make images`"):
        docker.connect(load(one_task), {"cpu": "veo-none:latest"}, folders=[])


@needs_engine
def test_task_in_a_container_leaves_outputs_log_and_image_in_the_record(run: Run, connected: Docker) -> None:
    record = run(one_task, executor=connected)

    assert states(record) == {"say": "SUCCEEDED"}
    assert tasks(record)["say"].output_parameters == {"said": "hello"}
    assert record.images == {
        "cpu": f"{BASE} ({docker_command('image', 'inspect', '--format', '{{.Id}}', BASE)})"
    }


@dsl.container_component
def whoami(said: OutputPath(str)):
    program = 'echo "$TOKEN" | wc -c; stat -c "%u:%g" /proc/self > "$0"; echo failing; exit 7'
    return dsl.ContainerSpec("any", ["sh", "-c", program], [said])


@dsl.pipeline
def one_failing():
    whoami()


@needs_engine
def test_task_that_fails_in_a_container_keeps_its_exit_code_and_log(
    run: Run, connected: Docker, tmp_path: Path
) -> None:
    record = run(one_failing, executor=connected, env={"TOKEN": "1234567"})

    task = tasks(record)["whoami"]
    assert (task.state, task.exit_code) == ("FAILED", 7)
    folder = tmp_path / "runs" / record.run_id
    assert (folder / task.log).read_text() == "8\nfailing\n"
    said = folder / "tasks" / "whoami" / "outputs" / "said"
    assert said.read_text().strip() == f"{os.getuid()}:{os.getgid()}"
    assert (said.stat().st_uid, said.stat().st_gid) == (os.getuid(), os.getgid())


@needs_engine
def test_cached_task_runs_anew_when_its_image_changed(run: Run, connected: Docker, tmp_path: Path) -> None:
    assert states(run(one_task, executor=connected)) == {"say": "SUCCEEDED"}
    assert states(run(one_task, executor=connected)) == {"say": "CACHED"}
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nLABEL changed={tmp_path}\n")
    tag = f"veo-test-{os.getpid()}"
    docker_command("build", "--quiet", "--tag", tag, "--file", str(tmp_path / "Dockerfile"), str(tmp_path))
    try:
        changed = docker.connect(
            ir.loads(compile_text(one_task, tmp_path), where="ir"), {"cpu": tag}, [tmp_path]
        )
        record = run(one_task, executor=changed)
    finally:
        docker_command("rmi", "--force", tag)
    assert states(record) == {"say": "SUCCEEDED"}
    assert tasks(record)["say"].reason == "miss: code of its image changed"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def assert_gone(job: Job) -> None:
    """The job's container is no more, within a bound."""
    name = job.cleanup[-1]
    deadline = time.monotonic() + TIMEOUT
    while docker_command("ps", "--all", "--quiet", "--filter", f"name={name}"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


ENDLESS = "trap '' TERM; echo up > pipe; sleep 600 & wait; wait"


@needs_engine
def test_container_when_its_run_is_cancelled_is_gone(connected: Docker, tmp_path: Path, pipe: Path) -> None:
    job = replace(connected.job(work(tmp_path, ENDLESS)), grace=0.3)

    async def cancel() -> None:
        running = asyncio.create_task(execution.run(job))
        await asyncio.to_thread(pipe.read_text)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(cancel())

    assert_gone(job)


@needs_engine
def test_container_when_told_to_end_may_do_so_in_its_own_way(
    connected: Docker, tmp_path: Path, pipe: Path
) -> None:
    program = "trap 'echo saved; exit 9' TERM; echo up > pipe; sleep 600 & wait"
    job = replace(connected.job(work(tmp_path, program)), grace=TIMEOUT)
    supervisor = supervise(job)
    pipe.read_text()

    supervisor.terminate()

    assert last_report(supervisor)["exit_code"] == 9
    assert (tmp_path / "log").read_text() == "saved\n"
    assert_gone(job)


@needs_engine
def test_container_when_its_runner_is_killed_is_gone(connected: Docker, tmp_path: Path, pipe: Path) -> None:
    job = connected.job(work(tmp_path, ENDLESS))
    supervisor = supervise(job)
    pipe.read_text()

    supervisor.stdin.close()  # as when the runner dies

    assert last_report(supervisor)["ended"] == "terminated"
    assert_gone(job)


@needs_engine
def test_container_when_its_supervisor_is_killed_is_gone(
    connected: Docker, tmp_path: Path, pipe: Path
) -> None:
    job = connected.job(work(tmp_path, ENDLESS))
    ended: list[execution.Exit] = []
    runner = threading.Thread(target=lambda: ended.append(asyncio.run(execution.run(job))))
    runner.start()
    pipe.read_text()

    (supervisor,) = children("supervise.py")
    os.kill(supervisor, signal.SIGKILL)
    runner.join(TIMEOUT)

    assert ended[0].problem == "its supervisor was killed"
    assert_gone(job)


def supervise(job: Job) -> "subprocess.Popen[bytes]":
    supervisor = subprocess.Popen(
        execution.supervisor_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    supervisor.stdin.write(job.line())
    supervisor.stdin.flush()
    return supervisor


def last_report(supervisor: "subprocess.Popen[bytes]") -> dict[str, Any]:
    reports = [json.loads(line) for line in supervisor.stdout.read().splitlines()]
    assert supervisor.wait(TIMEOUT) == 0
    return reports[-1]


def children(part: str) -> list[int]:
    """Child processes of this one whose command line holds `part`."""
    found = Path("/proc/self/task").glob("*/children")
    ids = [int(word) for path in found for word in path.read_text().split()]
    return [pid for pid in ids if part in Path(f"/proc/{pid}/cmdline").read_text()]
