"""Score the generated clips."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Output, OutputPath

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
        metrics: Output[Metrics],
        shape_confusion: Output[ClassificationMetrics],
        colour_confusion: Output[ClassificationMetrics],
        direction_confusion: Output[ClassificationMetrics],
        pitch_confusion: Output[ClassificationMetrics],
        sync_curve: Output[ClassificationMetrics],
        markdown: Output[Markdown],
        html: Output[HTML],
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
            views={
                "metrics": metrics,
                "shape_confusion": shape_confusion,
                "colour_confusion": colour_confusion,
                "direction_confusion": direction_confusion,
                "pitch_confusion": pitch_confusion,
                "sync_curve": sync_curve,
                "markdown": markdown,
                "html": html,
            },
            inputs={
                "generated": (generated, generated_digest),
                "dataset": (dataset, dataset_digest),
            },
        )

    return evaluate
