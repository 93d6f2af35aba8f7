"""Train the joint audio-video denoiser."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output, OutputPath

from components.stage import ACCELERATOR, Launch, stage_container

POOL = ACCELERATOR
CACHED = False


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def train_base(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        latents: Input[Dataset],
        latents_digest: str,
        manifest: Output[Model],
        metrics: Output[Metrics],
        html: Output[HTML],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.train.base",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics, "html": html},
            inputs={
                "latents": (latents, latents_digest),
            },
        )

    return train_base
