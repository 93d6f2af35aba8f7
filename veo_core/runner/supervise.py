"""Run one command, report how it ended, and leave no process of it behind.

Run as `python -I -S supervise.py`, with nothing but the standard library. Standard input carries the job
as one line of JSON {"argv", "env", "cwd", "log", "timeout", "grace", "cleanup"}, then stays open for as long
as the owner lives. The byte "t" on it asks the command to end (SIGTERM, SIGKILL after `grace` seconds); its
end means that the owner died, and kills the command at once. Standard output carries {"pid"} before the
command runs and then {"exit_code", "peak_rss_bytes", "cpu_seconds", "ended"}, or {"error"} where it cannot be
started; "ended" is "exited", "timeout" or "terminated".

The command leads a session and process group of its own. Descendants that leave the group are found as
well, where the system is Linux: orphans become children of this process. A "cleanup" that is not empty is the
command line of a program that runs last.
"""

import contextlib
import ctypes
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    job, rest = _read_job()
    _linux_prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_signals()
    try:
        process = _start(job)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        _report({"error": f"{job['argv'][0]}: cannot be started: {reason}"})
        return
    status, usage, ended = _watch(process.pid, wake, job, rest)
    _sweep(process.pid)
    if job["cleanup"]:
        _clean_up(job)
    code = os.waitstatus_to_exitcode(status)
    _report(
        {
            "exit_code": code if code >= 0 else 128 - code,
            "peak_rss_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "ended": ended,
        }
    )


def _read_job() -> tuple[dict[str, Any], bytes]:
    """The job, and what already came after its line."""
    data = b""
    while b"\n" not in data:
        chunk = os.read(0, 65536)
        if not chunk:
            sys.exit(1)
        data += chunk
    line, _, rest = data.partition(b"\n")
    return json.loads(line), rest


def _report(message: dict[str, Any]) -> None:
    """Tell the owner; one that has died hears nothing."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


def _linux_prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _wake_on_signals() -> int:
    """A descriptor on which each received signal's number can be read."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *_STOP_SIGNALS):
        signal.signal(number, lambda *_: None)
    return read_end


def _start(job: dict[str, Any]) -> "subprocess.Popen[bytes]":
    report = os.dup(1)

    def prepare() -> None:
        """In the child: it dies with this process, and the owner knows its id before it can do anything."""
        _linux_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.write(report, json.dumps({"pid": os.getpid()}).encode() + b"\n")

    with open(job["log"], "ab") as log:
        return subprocess.Popen(
            job["argv"],
            env=job["env"],
            cwd=job["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=prepare,
        )


def _watch(pid: int, wake: int, job: dict[str, Any], rest: bytes) -> tuple[int, Any, str]:
    """Wait for the command, ending it when asked, when its time is up, or when the owner is gone."""
    ended, asked = "exited", bool(rest)
    deadline = time.monotonic() + (job["timeout"] or math.inf)
    watched = [wake, 0]
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return status, usage, ended
        now = time.monotonic()
        if ended == "exited" and (asked or now >= deadline):
            ended = "terminated" if asked else "timeout"
            deadline = now + job["grace"]
            _signal_all(pid, signal.SIGTERM)
        elif now >= deadline:
            deadline = math.inf
            _signal_all(pid, signal.SIGKILL)
        ready, _, _ = select.select(watched, [], [], None if deadline == math.inf else deadline - now)
        if wake in ready and _STOP_SIGNALS & set(os.read(wake, 4096)):
            asked = True
        if 0 in ready:
            asked = True
            if not os.read(0, 4096):
                watched.remove(0)
                ended, deadline = "terminated", now


def _signal_all(group: int, number: int) -> None:
    """Signal the command's group, and each descendant that has left it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != group:
                os.kill(pid, number)


def _descendants() -> set[int]:
    """The living processes below this one, from /proc; empty where there is none."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as stat:
                parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def _sweep(group: int) -> None:
    """Kill and reap whatever the command left running."""
    while True:
        _signal_all(group, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _clean_up(job: dict[str, Any]) -> None:
    """Run the job's cleanup; it finds nothing to do where the command ended in order."""
    nowhere = subprocess.DEVNULL
    with contextlib.suppress(OSError):
        subprocess.run(job["cleanup"], env=job["env"], stdin=nowhere, stdout=nowhere, stderr=nowhere)


if __name__ == "__main__":
    main()
