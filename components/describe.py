"""Describe each clip from its key frames."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Output, OutputPath

from components.stage import CPU, Launch, stage_container

POOL = CPU
CACHED = True


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says; `parts` makes it wait for the parts of its work."""

    @dsl.container_component
    def describe(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        clips: Input[Dataset],
        clips_digest: str,
        parts: list,  # type: ignore[type-arg]
        manifest: Output[Dataset],
        metrics: Output[Metrics],
        markdown: Output[Markdown],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.curate.describe",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics, "markdown": markdown},
            inputs={
                "clips": (clips, clips_digest),
            },
        )

    return describe
