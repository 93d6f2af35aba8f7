"""Recipes: a preset, a user's file over it and single settings, validated before anything runs."""

import argparse
import importlib
import importlib.resources
import typing
import warnings
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, create_model

from veo_core.errors import UsageError
from veo_core.moderation.categories import GENERAL_CATEGORIES
from veo_core.records.base import Record, read_yaml
from veo_core.sharding import ExecutorName

STAGES = {
    "collect": "veo_core.curate.collect",
    "prepare": "veo_core.curate.prepare",
    "describe": "veo_core.curate.describe",
    "dedup": "veo_core.curate.dedup",
    "safety_filter": "veo_core.curate.safety_filter",
    "quality_filter": "veo_core.curate.quality_filter",
    "annotate": "veo_core.curate.annotate",
    "package": "veo_core.curate.package",
    "train_video_vae": "veo_core.train.video_vae",
    "train_audio_vae": "veo_core.train.audio_vae",
    "encode_latents": "veo_core.train.encode_latents",
    "train_base": "veo_core.train.base",
    "train_upsampler": "veo_core.train.upsampler",
    "generate": "veo_core.generate.generate",
    "evaluate": "veo_core.evaluate.evaluate",
    "safety_evaluation": "veo_core.safety.safety_evaluation",
    "register": "veo_core.registry.register",
}


_GENERAL = {"categories": [category.model_dump() for category in GENERAL_CATEGORIES]}
_OWN_FOOTAGE = {
    "generate": {"filter": _GENERAL, "unspecified": 0, "unspecified_people": 24},
    "safety_evaluation": {"filter": _GENERAL, "bias_targets": {}, "people": True},
}
"""What holds where no world is filmed: its hazard is no category, and bias is that towards people."""

CURATION = tuple(stage for stage, module in STAGES.items() if module.startswith("veo_core.curate."))


class BaseRecipe(Record):
    """What a run does, besides the configuration of each stage."""

    judge_server: Literal["world", "external"] = Field(
        default="world",
        description="'world' starts the world's judge on loopback; 'external' uses OPENAI_BASE_URL",
    )
    executor: ExecutorName = Field(
        default="pool",
        description="'pool': processes of this machine; 'ray': the cluster at RAY_ADDRESS, or a local one",
    )
    parts: int = Field(
        default=0, ge=0, le=64, description="tasks at a time for stages that work item by item; 0 for one"
    )
    seed: int = 0


def recipe_type() -> type[BaseRecipe]:
    """The recipe's record: one section a stage, each the stage's own configuration."""
    sections: dict[str, Any] = {}
    for stage, module in STAGES.items():
        config = typing.get_type_hints(importlib.import_module(module).run)["config"]
        sections[stage] = (config, Field(default_factory=config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the section `register` hides ABCMeta.register, which nobody calls
        return create_model("Recipe", __base__=BaseRecipe, **sections)


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that choose a recipe: a preset, a file over it, and single settings."""
    parser.add_argument("--preset", default="world", metavar="NAME", help="smoke, world or world-full")
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="YAML recipe over the preset; of several the later wins",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="one setting over preset and recipe; may be repeated",
    )
    parser.add_argument("--seed", type=int, help="seed of everything random")


def load_recipe(
    preset: str,
    configs: Sequence[Path],
    settings: Sequence[str],
    footage: dict[str, Any] | None = None,
    place: dict[str, Any] | None = None,
) -> BaseRecipe:
    """The preset, overlaid by the user's YAML files, the place of footage, and `SECTION.KEY=VALUE` settings.

    `place` holds what the place of the run sets: it lies over the preset, and under what the user says.
    So does what holds where no world is filmed: the general categories of safety, and bias towards people.

    Raises:
        UsageError: no such preset, a file that cannot be read, an unknown key, or a value out of range.
    """
    below = merge(_preset(preset), place or {})
    above: list[dict[str, Any]] = []
    where = f"preset {preset}"
    for config in configs:
        user = read_yaml(config) or {}
        if not isinstance(user, dict):
            raise UsageError(f"{config}: expected sections such as 'describe:', got {type(user).__name__}")
        above.append(user)
        where = str(config)
    above.append(footage or {})
    for setting in settings:
        above.append(parse_setting(setting))
        where = f"--set {setting}"
    values = reduce(merge, above, below)
    collect = values.get("collect")
    if isinstance(collect, dict) and not collect.get("world"):
        values = reduce(merge, above, merge(below, _OWN_FOOTAGE))
    return recipe_type().parse(_with_judge(values, where), where=where)


def parameters(recipe: BaseRecipe, root: str, stages: Sequence[str] = tuple(STAGES)) -> dict[str, Any]:
    """The parameters for a recipe of the pipeline that consists of `stages`."""
    dumped = recipe.model_dump(mode="json")
    configs = {f"{stage}_config": dumped[stage] for stage in stages}
    parts = [f"{index}/{recipe.parts}" for index in range(recipe.parts)]
    return {"root": root, "seed": recipe.seed, "parts": parts, **configs}


def _with_judge(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The section `judge` stands for that of every stage that asks one; a stage's own settings win."""
    values = dict(values)
    judge = values.pop("judge", None)
    if judge is None:
        return values
    if not isinstance(judge, dict):
        raise UsageError(f"{where}: judge: expected keys such as 'model:', got {type(judge).__name__}")
    for stage, module in STAGES.items():
        config = typing.get_type_hints(importlib.import_module(module).run)["config"]
        if "judge" in config.model_fields:
            values[stage] = merge({"judge": judge}, values.get(stage) or {})
    return values


def _preset(name: str) -> dict[str, Any]:
    folder = importlib.resources.files("pipelines") / "presets"
    names = sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
    if name not in names:
        raise UsageError(f"--preset {name}: no such preset; there are {', '.join(names)}")
    preset: dict[str, Any] = yaml.safe_load((folder / f"{name}.yaml").read_text())
    return preset


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key; everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def parse_setting(setting: str) -> dict[str, Any]:
    """`SECTION.KEY=VALUE` as nested mappings, the value read as YAML.

    Raises:
        UsageError: it has another form.
    """
    path, separator, text = setting.partition("=")
    if not separator or not path:
        raise UsageError(
            f"--set {setting}: expected SECTION.KEY=VALUE, such as describe.prompt='What is shown?'"
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value
