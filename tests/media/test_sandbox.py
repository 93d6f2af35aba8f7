import os
import platform
import resource
import socket
import subprocess
import sys
import time

import pytest

from veo_core.errors import ItemError
from veo_core.media.isolate import run_isolated
from veo_core.media.sandbox import Budget

ON_LINUX = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
needs_linux = pytest.mark.skipif(not ON_LINUX, reason="the filter of system calls is Linux's")


def attempt(item) -> bytes:
    """What became of an act that a decoder which was taken over might try."""
    try:
        ACTS[item]()
    except MemoryError:
        raise
    except OSError as error:
        return f"{type(error).__name__}".encode()
    return b"done"


def burn():
    while True:
        pass


def write_much():
    with open("/dev/shm/veo-sandbox-test" if os.path.isdir("/dev/shm") else os.devnull, "wb") as stream:
        os.unlink(stream.name)
        stream.truncate(1 << 30)


ACTS = {
    "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
    "local socket": lambda: socket.socket(socket.AF_UNIX),
    "run": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "bomb": lambda: bytearray(1 << 30),
    "some memory": lambda: bytearray(50 << 20),
    "burn": burn,
    "write": write_much,
    "wait": lambda: time.sleep(0.01),
}
BUDGET = Budget(memory_bytes=200 << 20, cpu_seconds=1.0, file_bytes=1 << 20, open_files=32)


def outcome(act, **options):
    (result,) = run_isolated([act], attempt, timeout_seconds=30, budget=BUDGET, **options)
    return result


@needs_linux
@pytest.mark.parametrize("act", ["connect", "local socket", "run", "spawn"])
def test_child_reaches_no_network_and_starts_no_program(act):
    assert outcome(act) == b"PermissionError"


@needs_linux
def test_memory_bomb_costs_one_item():
    bomb, after = run_isolated(["bomb", "some memory"], attempt, timeout_seconds=30, budget=BUDGET)
    assert isinstance(bomb, ItemError)
    assert bomb.rule == "memory"
    assert after == b"done"


def test_endless_computation_is_ended_by_processor_time():
    result = outcome("burn")
    assert isinstance(result, ItemError)
    assert (result.rule, str(result)) == ("timeout", "more processor time than an item may take")


def test_files_are_limited_in_size():
    assert outcome("write") == b"OSError"


def open_until_refused(item) -> bytes:
    count = 0
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
            count += 1
    except OSError:
        return str(count).encode()


@needs_linux
def test_files_are_limited_in_number():
    here = max(int(name) for name in os.listdir("/proc/self/fd"))
    (count,) = run_isolated([""], open_until_refused, timeout_seconds=30, budget=BUDGET)
    assert 32 <= int(count) <= here + 40


def test_parent_keeps_its_own_limits():
    before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NOFILE)]
    assert outcome("wait") == b"done"
    assert [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NOFILE)] == before
