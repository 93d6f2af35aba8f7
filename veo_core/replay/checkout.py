"""A clean checkout of a recorded commit."""

import subprocess
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.lineage.commits import knows


def check_out(repository: Path | None, commit: str, folder: Path) -> None:
    """Make `folder` a checkout of `commit`; the repository's objects are shared, and it is not written.

    Raises:
        UsageError: the record names no commit, or there is no repository that knows it.
    """
    mend = "`--here` replays with the present code"
    if not commit:
        raise UsageError(f"the run's record names no commit; {mend}")
    if repository is None:
        raise UsageError(
            f"this installation is no checkout of a repository, so commit {commit[:12]} is not here; {mend}"
        )
    if not knows(repository, commit):
        raise UsageError(f"{repository}: the repository has no commit {commit[:12]}; fetch it, or {mend}")
    clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(folder)]
    for command in (clone, ["git", "-C", str(folder), "checkout", "--quiet", "--detach", commit]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UsageError(f"commit {commit[:12]} cannot be checked out: {done.stderr.strip()[-200:]}")
