"""Register the approved model."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Markdown, Metrics, Model, Output, OutputPath

from components.stage import CPU, Launch, stage_container

POOL = CPU
CACHED = False


class VertexModel(dsl.Artifact):  # type: ignore[misc]
    """A model of Vertex AI's registry. It stays without content where the model is registered elsewhere."""

    schema_title = "google.VertexModel"
    schema_version = "0.0.1"


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def register(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        dataset: Input[Dataset],
        dataset_digest: str,
        video_vae: Input[Model],
        video_vae_digest: str,
        audio_vae: Input[Model],
        audio_vae_digest: str,
        latents: Input[Dataset],
        latents_digest: str,
        base: Input[Model],
        base_digest: str,
        upsampler: Input[Model],
        upsampler_digest: str,
        generated: Input[Dataset],
        generated_digest: str,
        evaluation: Input[Dataset],
        evaluation_digest: str,
        safety: Input[Dataset],
        safety_digest: str,
        manifest: Output[Model],
        vertex_model: Output[VertexModel],
        metrics: Output[Metrics],
        markdown: Output[Markdown],
        digest: OutputPath(str),  # type: ignore[valid-type]
        model: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.registry.register",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics, "markdown": markdown},
            inputs={
                "dataset": (dataset, dataset_digest),
                "video_vae": (video_vae, video_vae_digest),
                "audio_vae": (audio_vae, audio_vae_digest),
                "latents": (latents, latents_digest),
                "base": (base, base_digest),
                "upsampler": (upsampler, upsampler_digest),
                "generated": (generated, generated_digest),
                "evaluation": (evaluation, evaluation_digest),
                "safety": (safety, safety_digest),
            },
            outputs={"model": model},
        )

    return register
