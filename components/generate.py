"""Generate clips with sound from the prompt suite."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output, OutputPath

from components.stage import ACCELERATOR, Launch, stage_container

POOL = ACCELERATOR
CACHED = False


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def generate(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        latents: Input[Dataset],
        latents_digest: str,
        video_vae: Input[Model],
        video_vae_digest: str,
        audio_vae: Input[Model],
        audio_vae_digest: str,
        base: Input[Model],
        base_digest: str,
        upsampler: Input[Model],
        upsampler_digest: str,
        manifest: Output[Dataset],
        metrics: Output[Metrics],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.generate.generate",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics},
            inputs={
                "latents": (latents, latents_digest),
                "video_vae": (video_vae, video_vae_digest),
                "audio_vae": (audio_vae, audio_vae_digest),
                "base": (base, base_digest),
                "upsampler": (upsampler, upsampler_digest),
            },
        )

    return generate
