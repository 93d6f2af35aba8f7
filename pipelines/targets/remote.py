"""The remote target that a profile describes."""

import dataclasses
from pathlib import Path
from typing import Literal

from components.stage import CPU
from pipelines.targets.images import Images
from pipelines.targets.kubeflow import kubeflow_target
from pipelines.targets.profile import VertexProfile, load_profile
from pipelines.targets.target import Target
from pipelines.targets.vertex import vertex_target
from veo_core.errors import UsageError

JudgeServer = Literal["world", "external"]


def load_target(path: Path, choice: int = 0, judge: JudgeServer = "world") -> Target:
    """The target of the profile at `path`.

    Args:
        choice: index into the profile's choices of accelerators; the next serves where the first is not free.
        judge: who answers the stages of the CPU pool: the world's judge, which each starts beside
            itself, or the server that their configuration or their environment names.

    Raises:
        UsageError: the profile or its images do not read, or there is no such choice.
    """
    profile = load_profile(path)
    choices = len(profile.pools.accelerator)
    if not 0 <= choice < choices:
        raise UsageError(f"{path}: choice {choice}: pools.accelerator has the choices 0 to {choices - 1}")
    images = Images(path.parent / profile.images)
    if isinstance(profile, VertexProfile):
        target = vertex_target(profile, images, profile.pools.accelerator[choice])
    else:
        target = kubeflow_target(profile, images, profile.pools.accelerator[choice])
    return target if judge == "external" else _judged(target)


def _judged(target: Target) -> Target:
    launch = target.launches[CPU]
    launch = launch._replace(launcher=(*launch.launcher, "veo_core.launch.judged"))
    return dataclasses.replace(target, launches={**target.launches, CPU: launch})
