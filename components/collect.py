"""Collect source files and gate them on their rights."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Output, OutputPath

from components.stage import CPU, stage_container

POOL = CPU


def build(image: str) -> Any:
    """The component that runs in `image`."""

    @dsl.container_component
    def collect(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        manifest: Output[Dataset],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            image,
            "veo_core.curate.collect",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
        )

    return collect
