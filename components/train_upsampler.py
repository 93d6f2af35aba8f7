"""Train the upsampler of the cascade."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output, OutputPath

from components.stage import ACCELERATOR, Launch, stage_container

POOL = ACCELERATOR
CACHED = False


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def train_upsampler(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        latents: Input[Dataset],
        latents_digest: str,
        video_vae: Input[Model],
        video_vae_digest: str,
        manifest: Output[Model],
        metrics: Output[Metrics],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.train.upsampler",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics},
            inputs={
                "latents": (latents, latents_digest),
                "video_vae": (video_vae, video_vae_digest),
            },
        )

    return train_upsampler
