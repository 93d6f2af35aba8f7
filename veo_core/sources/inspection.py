"""The look inside untrusted files before they are stored, in a child process."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from veo_core.errors import ItemError
from veo_core.media.isolate import run_isolated
from veo_core.media.key_frames import key_frames
from veo_core.media.opening import Limits
from veo_core.sources.credentials import Claims, manifest_bytes, read_claims
from veo_core.sources.items import Media

_NOTHING = b"null"
_PROBE_SIDE = 64


@dataclass(frozen=True)
class _Job:
    path: Path
    manifests: list[tuple[bytes, bool]]
    probe: bool


def inspect_files(
    files: Sequence[Media], *, probe: bool, max_bytes: int, timeout_seconds: float
) -> list[Claims | ItemError | None]:
    """What the C2PA manifest in or beside each file claims, None where there is none.

    Args:
        files: on this machine. An opt-out in either place counts.
        probe: whether the first picture of each must decode, too.
        max_bytes: largest file.
        timeout_seconds: time that one file may take.

    Returns:
        For each file its claims, None, or why it is refused: rule "c2pa" for a manifest that cannot be
        read, "undecodable" or "limit" for no acceptable video, "crash" or "timeout".
    """
    jobs = [_Job(file.path, _manifests(file), probe) for file in files]
    outcomes: list[Claims | ItemError | None] = [None] * len(jobs)
    needed = [index for index, job in enumerate(jobs) if job.probe or job.manifests]
    work = partial(_inspect, limits=Limits(max_bytes=max_bytes))
    results = run_isolated([jobs[index] for index in needed], work, timeout_seconds=timeout_seconds)
    for index, result in zip(needed, results, strict=True):
        if isinstance(result, ItemError):
            outcomes[index] = result
        elif result != _NOTHING:
            outcomes[index] = Claims.model_validate(json.loads(result))
    return outcomes


def _manifests(file: Media) -> list[tuple[bytes, bool]]:
    """Manifest stores of a file, each with whether it lies beside it."""
    found = [(manifest_bytes(file.path), False), (file.manifest, True)]
    return [(manifest, beside) for manifest, beside in found if manifest is not None]


def _inspect(job: _Job, limits: Limits) -> bytes:
    if job.probe:
        key_frames(job.path, count=1, max_short_side=_PROBE_SIDE, limits=limits)
    claims = [read_claims(job.path, manifest, beside=beside) for manifest, beside in job.manifests]
    strictest = max(claims, key=lambda claim: bool(claim.opt_out), default=None)
    return _NOTHING if strictest is None else strictest.to_bytes()
