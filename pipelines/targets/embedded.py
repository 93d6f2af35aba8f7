"""The laptop: no images; one accelerator token, so that training steps run one at a time."""

from typing import Any

from components.stage import ACCELERATOR, CPU
from pipelines.targets.target import Target


def _place(task: Any, pool: str) -> None:
    if pool == ACCELERATOR:
        task.set_accelerator_type("embedded").set_accelerator_limit(1)


EMBEDDED = Target(name="embedded", images={CPU: "embedded", ACCELERATOR: "embedded"}, place=_place)
