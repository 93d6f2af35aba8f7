"""The pipeline, from footage to a registered model: one builder for every target."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from kfp import dsl

from components import (
    annotate,
    collect,
    dedup,
    describe,
    encode_latents,
    evaluate,
    generate,
    package,
    prepare,
    quality_filter,
    register,
    safety_evaluation,
    safety_filter,
    train_audio_vae,
    train_base,
    train_upsampler,
    train_video_vae,
)
from pipelines.targets.target import Target

NAME = "veo-from-scratch"


def build_pipeline(target: Target, defaults: dict[str, Any]) -> Any:
    """The pipeline for a target.

    Args:
        target: images and placement.
        defaults: default values of the pipeline's parameters, such as a preset's.
    """

    def stage(module: ModuleType) -> Callable[..., Any]:
        component = module.build(target.images[module.POOL])

        def task(**arguments: Any) -> Any:
            created = component(**arguments)
            target.place(created, module.POOL)
            return created

        return task

    @dsl.pipeline(name=NAME, description="From raw footage to a registered generator of video with sound.")
    def pipeline(
        root: str = defaults["root"],
        seed: int = defaults["seed"],
        collect_config: dict = defaults["collect"],  # type: ignore[type-arg]
        prepare_config: dict = defaults["prepare"],  # type: ignore[type-arg]
        describe_config: dict = defaults["describe"],  # type: ignore[type-arg]
        dedup_config: dict = defaults["dedup"],  # type: ignore[type-arg]
        safety_filter_config: dict = defaults["safety_filter"],  # type: ignore[type-arg]
        quality_filter_config: dict = defaults["quality_filter"],  # type: ignore[type-arg]
        annotate_config: dict = defaults["annotate"],  # type: ignore[type-arg]
        package_config: dict = defaults["package"],  # type: ignore[type-arg]
        train_video_vae_config: dict = defaults["train_video_vae"],  # type: ignore[type-arg]
        train_audio_vae_config: dict = defaults["train_audio_vae"],  # type: ignore[type-arg]
        encode_latents_config: dict = defaults["encode_latents"],  # type: ignore[type-arg]
        train_base_config: dict = defaults["train_base"],  # type: ignore[type-arg]
        train_upsampler_config: dict = defaults["train_upsampler"],  # type: ignore[type-arg]
        generate_config: dict = defaults["generate"],  # type: ignore[type-arg]
        evaluate_config: dict = defaults["evaluate"],  # type: ignore[type-arg]
        safety_evaluation_config: dict = defaults["safety_evaluation"],  # type: ignore[type-arg]
        register_config: dict = defaults["register"],  # type: ignore[type-arg]
    ) -> None:
        common = {"root": root, "seed": seed}

        collected = stage(collect)(**common, config=collect_config)
        prepared = stage(prepare)(**common, config=prepare_config, **_input("sources", collected))
        described = stage(describe)(**common, config=describe_config, **_input("clips", prepared))
        unique = stage(dedup)(**common, config=dedup_config, **_input("clips", described))
        safe = stage(safety_filter)(**common, config=safety_filter_config, **_input("clips", unique))
        good = stage(quality_filter)(**common, config=quality_filter_config, **_input("clips", safe))
        annotated = stage(annotate)(**common, config=annotate_config, **_input("clips", good))
        packaged = stage(package)(**common, config=package_config, **_input("clips", annotated))

        dataset = _input("dataset", packaged)
        video_vae = _input(
            "video_vae", stage(train_video_vae)(**common, config=train_video_vae_config, **dataset)
        )
        audio_vae = _input(
            "audio_vae", stage(train_audio_vae)(**common, config=train_audio_vae_config, **dataset)
        )
        encoded = stage(encode_latents)(
            **common, config=encode_latents_config, **dataset, **video_vae, **audio_vae
        )
        latents = _input("latents", encoded)
        base = _input("base", stage(train_base)(**common, config=train_base_config, **latents))
        upsampler = _input(
            "upsampler",
            stage(train_upsampler)(**common, config=train_upsampler_config, **latents, **video_vae),
        )
        models = latents | video_vae | audio_vae | base | upsampler

        clips = stage(generate)(**common, config=generate_config, **models)
        generated = _input("generated", clips)
        scored = stage(evaluate)(**common, config=evaluate_config, **generated, **dataset)
        evaluation = _input("evaluation", scored)
        judged = stage(safety_evaluation)(
            **common, config=safety_evaluation_config, **generated, **evaluation
        )
        with dsl.If(judged.outputs["approved"] == "true", name="approved"):
            stage(register)(
                **common,
                config=register_config,
                **dataset,
                **models,
                **generated,
                **evaluation,
                **_input("safety", judged),
            )

    return pipeline


def _input(name: str, task: Any) -> dict[str, Any]:
    """A task's manifest and the digest that makes string-keyed caches see its content."""
    return {name: task.outputs["manifest"], f"{name}_digest": task.outputs["digest"]}
