"""A helper command that lives as long as the runner, such as a judge server."""

import contextlib
import json
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.runner.execution import Job, python_first, supervisor_command, task_environment
from veo_core.runner.logs import tail

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    ready_file: Path,
    log: Path,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    grace: float = 5.0,
) -> Iterator[str]:
    """Run `command` while the block lasts; it is killed with this process in any case.

    Args:
        command: a `python` at its head is this interpreter.
        ready_file: file that the command writes once it serves; an old one is removed first.
        log: file to which its output is appended.
        timeout: seconds within which it must be ready.
        grace: seconds between SIGTERM and SIGKILL at the end.

    Yields:
        The ready file's text, stripped.

    Raises:
        UsageError: the command ended, or was not ready in time.
    """
    ready_file.unlink(missing_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    job = Job(
        argv=python_first(command),
        env=task_environment(env or {}),
        cwd=str(Path.cwd()),
        log=str(log.resolve()),
        grace=grace,
    )
    supervisor = subprocess.Popen(
        supervisor_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    try:
        supervisor.stdin.write(job.line())
        supervisor.stdin.flush()
        yield _wait_until_ready(supervisor, ready_file, log, timeout, shlex.join(command[:4]))
    finally:
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.write(b"t")
            supervisor.stdin.flush()
        supervisor.wait()
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.close()
        supervisor.stdout.close()


def _wait_until_ready(
    supervisor: "subprocess.Popen[bytes]", ready_file: Path, log: Path, timeout: float, name: str
) -> str:
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(FileNotFoundError):
            text = ready_file.read_text(encoding="utf-8").strip()
            if text:
                return text
        if supervisor.poll() is not None:
            raise UsageError(f"service `{name}` ended before it was ready: {_reason(supervisor, log)}")
        if time.monotonic() > deadline:
            raise UsageError(f"service `{name}` was not ready within {timeout:g} s; its log: {log}")
        time.sleep(_POLL_SECONDS)


def _reason(supervisor: "subprocess.Popen[bytes]", log: Path) -> str:
    assert supervisor.stdout is not None
    reports = [json.loads(line) for line in supervisor.stdout.read().splitlines()]
    last = next(iter(tail(log, 1)), "")
    if reports and "error" in reports[-1]:
        return str(reports[-1]["error"])
    return last or f"exit code {reports[-1].get('exit_code') if reports else 'unknown'}"
