"""Judge the model's safety and decide whether it may be registered."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Output, OutputPath

from components.stage import CPU, Launch, stage_container

POOL = CPU
CACHED = True


def build(launch: Launch) -> Any:
    """The component that starts as `launch` says."""

    @dsl.container_component
    def safety_evaluation(
        root: str,
        seed: int,
        config: dict,  # type: ignore[type-arg]
        generated: Input[Dataset],
        generated_digest: str,
        evaluation: Input[Dataset],
        evaluation_digest: str,
        manifest: Output[Dataset],
        metrics: Output[Metrics],
        filter_confusion: Output[ClassificationMetrics],
        markdown: Output[Markdown],
        html: Output[HTML],
        digest: OutputPath(str),  # type: ignore[valid-type]
        approved: OutputPath(str),  # type: ignore[valid-type]
    ) -> dsl.ContainerSpec:
        return stage_container(
            launch,
            "veo_core.safety.safety_evaluation",
            root=root,
            seed=seed,
            config=config,
            manifest=manifest,
            digest=digest,
            views={
                "metrics": metrics,
                "filter_confusion": filter_confusion,
                "markdown": markdown,
                "html": html,
            },
            inputs={
                "generated": (generated, generated_digest),
                "evaluation": (evaluation, evaluation_digest),
            },
            outputs={"approved": approved},
        )

    return safety_evaluation
