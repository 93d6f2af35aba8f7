"""The look inside untrusted files before they are stored, in a child process."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from veo_core.errors import ItemError
from veo_core.media.decode import Limits, open_media
from veo_core.media.isolate import run_isolated
from veo_core.sources.credentials import Claims, manifest_bytes, read_claims

_NOTHING = b"null"


@dataclass(frozen=True)
class _Job:
    path: Path
    manifest: bytes | None
    probe: bool


def inspect_files(
    paths: Sequence[Path], *, probe: bool, max_bytes: int, timeout_seconds: float
) -> list[Claims | ItemError | None]:
    """What the C2PA manifest of each file claims, None where it has none.

    Args:
        paths: files on this machine.
        probe: whether each must open as a video, too.
        max_bytes: largest file.
        timeout_seconds: time that one file may take.

    Returns:
        For each file its claims, None, or why it is refused: rule "c2pa" for a manifest that cannot be
        read, "undecodable" or "limit" for no acceptable video, "crash" or "timeout".
    """
    jobs = [_Job(path, manifest_bytes(path), probe) for path in paths]
    outcomes: list[Claims | ItemError | None] = [None] * len(jobs)
    needed = [index for index, job in enumerate(jobs) if job.probe or job.manifest is not None]
    work = partial(_inspect, limits=Limits(max_bytes=max_bytes))
    results = run_isolated([jobs[index] for index in needed], work, timeout_seconds=timeout_seconds)
    for index, result in zip(needed, results, strict=True):
        if isinstance(result, ItemError):
            outcomes[index] = result
        elif result != _NOTHING:
            outcomes[index] = Claims.model_validate(json.loads(result))
    return outcomes


def _inspect(job: _Job, limits: Limits) -> bytes:
    if job.probe:
        open_media(job.path, limits).close()
    return _NOTHING if job.manifest is None else read_claims(job.path, job.manifest).to_bytes()
