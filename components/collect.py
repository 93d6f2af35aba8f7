"""Collect source files and gate them on their rights."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Markdown, Metrics, Output, OutputPath

from components.stage import CPU, Launch, stage_container

POOL = CPU
CACHED = False


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def collect(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        manifest: Output[Dataset],
        metrics: Output[Metrics],
        markdown: Output[Markdown],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.curate.collect",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics, "markdown": markdown},
        )

    return collect
