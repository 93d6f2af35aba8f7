"""The laptop: no images; one accelerator token, so that steps with networks run one at a time."""

from typing import Any

from components.stage import ACCELERATOR, CPU, TORCH, Launch
from pipelines.targets.target import Target


def _place(task: Any, pool: str) -> None:
    if pool != CPU:
        task.set_accelerator_type("embedded").set_accelerator_limit(1)


EMBEDDED = Target(
    name="embedded",
    root="store",
    launches=dict.fromkeys((CPU, TORCH, ACCELERATOR), Launch("embedded")),
    place=_place,
    caches_by_content=True,
)
