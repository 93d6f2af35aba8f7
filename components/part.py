"""One part of a stage's work, which the stage's own component then finds done."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, OutputPath

from components.stage import CPU, Launch, stage_part_container

POOL = CPU
CACHED = True


def build(launch: Launch, stage: str, source: str) -> Any:
    """The component that starts as `launch` says.

    Args:
        launch: how its process starts.
        stage: the stage's name, such as "prepare".
        source: the stage's input manifest, such as "sources".
    """

    def part(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        items: Input[Dataset],
        items_digest: str,
        part: str,
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_part_container(
            launch,
            f"veo_core.curate.{stage}",
            root=root,
            seed=seed,
            config=config,
            inputs={source: (items, items_digest)},
            part=part,
            digest=digest,
        )

    part.__name__ = f"{stage}_part"
    return dsl.container_component(part)
