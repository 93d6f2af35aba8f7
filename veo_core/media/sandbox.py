"""Limits that a process sets on itself before it works on what it does not trust.

What holds where:

- Memory, processor time, file size, open files, core dumps: `setrlimit`, on every Unix. `RLIMIT_DATA` counts
  private memory on Linux since 4.7; `RLIMIT_AS` backs it up elsewhere.
- No network: a network namespace without any interface, on Linux where the process may make one, as root or
  where user namespaces are allowed to all; many containers forbid both.
- No socket of any kind, no other program, no tracing of other processes: a seccomp filter, on Linux for
  x86-64 and AArch64 where the kernel has seccomp, in containers too. It cannot be taken off again.

What the system does not offer is left out: a decoder that is taken over is then held by the other layers.
"""

import ctypes
import os
import platform
import resource
import struct
import sys
from dataclasses import dataclass

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # the latter with the error EPERM
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ABOVE, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF instructions
_X32_BIT = 0x40000000

# Numbers of: socket, socketpair, connect, bind, execve, execveat, ptrace, process_vm_writev, io_uring_setup.
_REFUSED = {
    "x86_64": (0xC000003E, (41, 53, 42, 49, 59, 322, 101, 311, 425)),
    "aarch64": (0xC00000B7, (198, 199, 203, 200, 221, 281, 117, 271, 425)),
}


@dataclass(frozen=True)
class Budget:
    """What the work on one item may take.

    Attributes:
        memory_bytes: memory beyond what the process has when the limits are set.
        cpu_seconds: processor time.
        file_bytes: size of the largest file that may be written.
        open_files: files open at a time, beyond those that are open already.
    """

    memory_bytes: int = 1 << 30
    cpu_seconds: float = 600.0
    file_bytes: int = 1 << 30
    open_files: int = 64


def confine(budget: Budget) -> None:
    """Set the limits on this process for the rest of its life; call it before any thread is started."""
    if sys.platform == "linux":
        _leave_network()
        _filter_system_calls()
    private, whole = _memory_now()
    _lower(resource.RLIMIT_DATA, private + budget.memory_bytes)
    _lower(resource.RLIMIT_AS, whole + 4 * budget.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, budget.file_bytes)
    _lower(resource.RLIMIT_NOFILE, _highest_descriptor() + 1 + budget.open_files)
    _lower(resource.RLIMIT_CORE, 0)


def allow_cpu(seconds: float) -> None:
    """Let this process use `seconds` of processor time from now on; it is killed when they are used up."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard < 0 else min(limit, hard), hard))


def _lower(kind: int, limit: int) -> None:
    """Set a limit for good, unless a stricter one is set already."""
    _, hard = resource.getrlimit(kind)
    limit = limit if hard < 0 else min(limit, hard)
    try:
        resource.setrlimit(kind, (limit, limit))
    except (OSError, ValueError):
        return  # a system without this limit


def _memory_now() -> tuple[int, int]:
    """Private and whole virtual memory of this process in bytes; zeros where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            fields = [int(value) for value in stream.read().split()]
    except OSError:
        return 0, 0
    page = resource.getpagesize()
    return fields[5] * page, fields[0] * page


def _highest_descriptor() -> int:
    try:
        return max(int(name) for name in os.listdir("/proc/self/fd"))
    except OSError:
        return 255


def _leave_network() -> None:
    """Enter a network namespace that has no interface; a user namespace grants the right to one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _filter_system_calls() -> None:
    """Refuse system calls by a seccomp filter (seccomp(2), Linux 3.17)."""
    if platform.machine() not in _REFUSED:
        return
    architecture, numbers = _REFUSED[platform.machine()]
    # Offsets into struct seccomp_data: 0 is the number of the call, 4 the architecture.
    program = [
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, 0),
    ]
    if platform.machine() == "x86_64":
        program += [(_JUMP_IF_ABOVE, 0, 1, _X32_BIT), (_RETURN, 0, 0, _REFUSE)]
    for number in numbers:
        program += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_void_p(ctypes.addressof(head)), 0, 0)
