"""Score the generated clips."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output, OutputPath

from components.stage import TORCH, Launch, stage_container

POOL = TORCH
CACHED = True


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def evaluate(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        generated: Input[Dataset],
        generated_digest: str,
        dataset: Input[Dataset],
        dataset_digest: str,
        manifest: Output[Dataset],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.evaluate.evaluate",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            inputs={
                "generated": (generated, generated_digest),
                "dataset": (dataset, dataset_digest),
            },
        )

    return evaluate
