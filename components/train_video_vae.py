"""Train the video autoencoder."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output, OutputPath

from components.stage import ACCELERATOR, Launch, stage_container

POOL = ACCELERATOR
CACHED = False


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def train_video_vae(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        dataset: Input[Dataset],
        dataset_digest: str,
        manifest: Output[Model],
        metrics: Output[Metrics],
        digest: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.train.video_vae",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={"metrics": metrics},
            inputs={
                "dataset": (dataset, dataset_digest),
            },
        )

    return train_video_vae
