"""Running one command under supervision, from an event loop."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from veo_core.runner import supervise

GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        log: file to which its output is appended.
        timeout: seconds after which it is ended, or None.
        grace: seconds between SIGTERM and SIGKILL.
        cleanup: run after the command, however it ended, where it leaves more than processes of its own, such
            as a container; what it used there is not measured.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    log: str
    timeout: float | None = None
    grace: float = GRACE_SECONDS
    cleanup: Sequence[str] = ()

    def line(self) -> bytes:
        """The job as the supervisor reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True)
class Exit:
    """How a command ended; `problem` says why where it was not of its own accord."""

    code: int
    peak_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    problem: str = ""


def supervisor_command() -> list[str]:
    return [sys.executable, "-I", "-S", supervise.__file__]


def python_first(command: Sequence[str]) -> list[str]:
    """The command with this interpreter in the place of an image's `python`."""
    head, *rest = command
    return [sys.executable if head in ("python", "python3") else head, *rest]


def task_environment(*layers: Mapping[str, str]) -> dict[str, str]:
    """This process's environment under `layers`, this interpreter's folder first on PATH."""
    env = {"PYTHONUNBUFFERED": "1", **os.environ}
    for layer in layers:
        env.update(layer)
    folder = str(Path(sys.executable).parent)
    env["PATH"] = os.pathsep.join([folder, env.get("PATH", os.defpath)])
    return env


async def run(job: Job) -> Exit:
    """Run a command to its end; nothing of it outlives this call, nor this process.

    When cancelled, the command gets SIGTERM and, after its grace, SIGKILL.
    """
    process = await asyncio.create_subprocess_exec(
        *supervisor_command(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(job.line())
        await process.stdin.drain()
        output = await process.stdout.read()
        await process.wait()
    except asyncio.CancelledError:
        process.stdin.write(b"t")
        await process.wait()
        raise
    finally:
        process.stdin.close()
    reports = [json.loads(line) for line in output.splitlines()]
    last = reports[-1] if reports else {}
    if "error" in last:
        return Exit(code=127, problem=last["error"])
    if "exit_code" not in last:
        await _end_in_place_of_supervisor(job, last.get("pid"))
        return Exit(code=1, problem="its supervisor was killed")
    problem = {"timeout": "it ran past its time limit", "terminated": "it was told to end"}
    return Exit(
        code=last["exit_code"],
        peak_rss_bytes=None if job.cleanup else last["peak_rss_bytes"],
        cpu_seconds=None if job.cleanup else last["cpu_seconds"],
        problem=problem.get(last["ended"], ""),
    )


async def _end_in_place_of_supervisor(job: Job, group: int | None) -> None:
    if group is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    if job.cleanup:
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *job.cleanup, env=job.env, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
        await process.wait()
