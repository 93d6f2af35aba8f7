"""What a git repository knows of two commits."""

import subprocess
from pathlib import Path


def repository() -> Path | None:
    """The checkout that this code runs from, or None where it was installed."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / ".git").exists() else None


def knows(folder: Path, commit: str) -> bool:
    """Whether the repository of `folder` has a commit of this hash."""
    return _is_hash(commit) and _git(folder, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def commits_between(folder: Path, first: str, second: str) -> list[str]:
    """`HASH SUBJECT` of each commit of `second` that `first` lacks, newest first; empty where unknown.

    Where `first` is the later one, these are the commits that `second` lacks, a minus sign before each.
    """
    if not (_is_hash(first) and _is_hash(second)):
        return []
    found = _log(folder, first, second)
    return found or [f"-{line}" for line in _log(folder, second, first)]


def _log(folder: Path, first: str, second: str) -> list[str]:
    return (_git(folder, "log", "--no-color", "--format=%h %s", f"{first}..{second}") or "").splitlines()


def _is_hash(text: str) -> bool:
    return len(text) >= 7 and set(text) <= set("0123456789abcdef")


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
