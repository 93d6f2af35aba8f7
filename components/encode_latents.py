"""Encode the training set to latents once."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output, OutputPath

from components.stage import ACCELERATOR, Launch, stage_container

POOL = ACCELERATOR
CACHED = False


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def encode_latents(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        dataset: Input[Dataset],
        dataset_digest: str,
        video_vae: Input[Model],
        video_vae_digest: str,
        audio_vae: Input[Model],
        audio_vae_digest: str,
        manifest: Output[Dataset],
        metrics: Output[Metrics],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.train.encode_latents",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics},
            inputs={
                "dataset": (dataset, dataset_digest),
                "video_vae": (video_vae, video_vae_digest),
                "audio_vae": (audio_vae, audio_vae_digest),
            },
        )

    return encode_latents
