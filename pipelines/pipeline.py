"""The pipelines, from footage to a registered model or to a dataset: one builder for every target."""

from collections.abc import Callable, Mapping
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
    part,
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

Defaults = Mapping[str, Any]
Builder = Callable[[Target, Defaults], Any]


class _Stages:
    """The stages as tasks on a target, each with the parameters that all of them take."""

    def __init__(self, target: Target, **common: Any) -> None:
        self._target = target
        self._common = common

    def task(self, module: ModuleType, **arguments: Any) -> Any:
        return self._placed(module, module.build(self._target.launches[module.POOL]), arguments)

    def per_item(self, module: ModuleType, source: str, before: Any, parts: Any, config: Any) -> Any:
        """A stage whose work may be done in parts at a time; without parts it does all of it by itself."""
        name = module.__name__.rsplit(".", 1)[-1]
        component = part.build(self._target.launches[part.POOL], name, source)
        with dsl.ParallelFor(parts, name=f"{name}-parts") as item:
            done = self._placed(part, component, {"config": config, "part": item} | _input("items", before))
        return self.task(
            module, config=config, parts=dsl.Collected(done.outputs["digest"]), **_input(source, before)
        )

    def _placed(self, module: ModuleType, component: Any, arguments: dict[str, Any]) -> Any:
        task = self._target.wrap(component, module.POOL)(**self._common, **arguments)
        self._target.place(task, module.POOL)
        if self._target.retries:
            task.set_retry(self._target.retries, backoff_duration="60s")
        if not (module.CACHED or self._target.caches_by_content):
            task.set_caching_options(False)
        return task


def _curated(stages: _Stages, parts: Any, configs: Mapping[str, Any]) -> Any:
    """The stages from footage to a dataset; the last task."""
    done = stages.task(collect, config=configs["collect"])
    done = stages.per_item(prepare, "sources", done, parts, configs["prepare"])
    done = stages.per_item(describe, "clips", done, parts, configs["describe"])
    done = stages.task(dedup, config=configs["dedup"], **_input("clips", done))
    for module in (safety_filter, quality_filter, annotate):
        config = configs[module.__name__.rsplit(".", 1)[-1]]
        done = stages.per_item(module, "clips", done, parts, config)
    return stages.task(package, config=configs["package"], **_input("clips", done))


def build_curation(target: Target, defaults: Defaults) -> Any:
    """The pipeline from footage to a packaged dataset, for a target."""

    @dsl.pipeline(name="curate-footage", description="From raw footage to a dataset with every decision.")
    def pipeline(
        root: str = defaults["root"],
        seed: int = defaults["seed"],
        parts: list = defaults["parts"],  # type: ignore[type-arg]
        collect_config: dict = defaults["collect"],  # type: ignore[type-arg]
        prepare_config: dict = defaults["prepare"],  # type: ignore[type-arg]
        describe_config: dict = defaults["describe"],  # type: ignore[type-arg]
        dedup_config: dict = defaults["dedup"],  # type: ignore[type-arg]
        safety_filter_config: dict = defaults["safety_filter"],  # type: ignore[type-arg]
        quality_filter_config: dict = defaults["quality_filter"],  # type: ignore[type-arg]
        annotate_config: dict = defaults["annotate"],  # type: ignore[type-arg]
        package_config: dict = defaults["package"],  # type: ignore[type-arg]
    ) -> None:
        configs = {
            "collect": collect_config,
            "prepare": prepare_config,
            "describe": describe_config,
            "dedup": dedup_config,
            "safety_filter": safety_filter_config,
            "quality_filter": quality_filter_config,
            "annotate": annotate_config,
            "package": package_config,
        }
        _curated(_Stages(target, root=root, seed=seed), parts, configs)

    return pipeline


def build_pipeline(target: Target, defaults: Defaults) -> Any:
    """The whole pipeline for a target.

    Args:
        target: images, launchers and placement.
        defaults: default values of the pipeline's parameters, such as a preset's.
    """

    @dsl.pipeline(
        name="veo-from-scratch", description="From raw footage to a registered generator of video with sound."
    )
    def pipeline(
        root: str = defaults["root"],
        seed: int = defaults["seed"],
        parts: list = defaults["parts"],  # type: ignore[type-arg]
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
        stages = _Stages(target, root=root, seed=seed)
        configs = {
            "collect": collect_config,
            "prepare": prepare_config,
            "describe": describe_config,
            "dedup": dedup_config,
            "safety_filter": safety_filter_config,
            "quality_filter": quality_filter_config,
            "annotate": annotate_config,
            "package": package_config,
        }
        dataset = _input("dataset", _curated(stages, parts, configs))
        video_vae = _input(
            "video_vae", stages.task(train_video_vae, config=train_video_vae_config, **dataset)
        )
        audio_vae = _input(
            "audio_vae", stages.task(train_audio_vae, config=train_audio_vae_config, **dataset)
        )
        latents = _input(
            "latents",
            stages.task(encode_latents, config=encode_latents_config, **dataset, **video_vae, **audio_vae),
        )
        base = _input("base", stages.task(train_base, config=train_base_config, **latents))
        upsampler = _input(
            "upsampler",
            stages.task(train_upsampler, config=train_upsampler_config, **latents, **video_vae),
        )
        models = latents | video_vae | audio_vae | base | upsampler
        generated = _input("generated", stages.task(generate, config=generate_config, **models))
        evaluation = _input(
            "evaluation", stages.task(evaluate, config=evaluate_config, **generated, **dataset)
        )
        judged = stages.task(safety_evaluation, config=safety_evaluation_config, **generated, **evaluation)
        with dsl.If(judged.outputs["approved"] == "true", name="approved"):
            stages.task(
                register,
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


PIPELINES: dict[str, Builder] = {"pipeline": build_pipeline, "curation": build_curation}
