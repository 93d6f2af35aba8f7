"""Facts of the machine and of the code that a run record states."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import veo_core


def facts() -> dict[str, Any]:
    """Fields of a RunRecord: source revision, interpreter, platform, hardware, library versions."""
    revision, dirty = _revision(Path(veo_core.__file__).parent)
    return {
        "git_sha": revision,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count() or 0,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "packages": _packages(),
    }


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
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - git is found on PATH on purpose
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
