"""Facts of the machine and of the code that a run record states."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import veo_core
from veo_core.fingerprint import files_of


def facts() -> dict[str, Any]:
    """Fields of a RunRecord: revision and files of the product, interpreter, hardware, library versions."""
    revision, dirty = _revision(Path(veo_core.__file__).parent)
    return {
        "git_sha": revision,
        "git_dirty": dirty,
        "sources": files_of(veo_core.__name__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count() or 0,
        "cpu": _cpu_model(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerators": _accelerators(),
        "packages": _packages(),
    }


def _cpu_model() -> str:
    """The CPU's name as Linux tells it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@functools.lru_cache(maxsize=1)
def _accelerators() -> list[str]:
    """Name and driver of each NVIDIA GPU; empty where the driver's program is not installed."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return (_output(query) or "").splitlines()


@functools.lru_cache(maxsize=1)
def _packages() -> dict[str, str]:
    """Versions of the installed distributions, which do not change while this process runs."""
    found = {distribution.name: distribution.version for distribution in importlib.metadata.distributions()}
    return dict(sorted(found.items()))


def _revision(folder: Path) -> tuple[str, bool]:
    """(commit, whether files differ from it) of the checkout that tracks `folder`; ("", False) if none."""
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return "", False
    return _git(folder, "rev-parse", "HEAD") or "", bool(_git(folder, "status", "--porcelain", "--", ".."))


def _git(folder: Path, *arguments: str) -> str | None:
    return _output(["git", "-C", str(folder), *arguments])


def _output(command: list[str]) -> str | None:
    """What a program found on PATH prints, or None where there is none or it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
