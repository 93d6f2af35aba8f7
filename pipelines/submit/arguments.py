"""The command line of both submitters, and what it asks for: a profile, a pipeline and its parameters."""

import argparse
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

from pipelines.submit import secrets
from pipelines.submit.compiled import Compiled
from pipelines.targets.images import Images
from pipelines.targets.profile import KubeflowProfile, Profile, load_profile
from veo_core.cli.footage import footage_section
from veo_core.cli.recipe import (
    CURATION,
    STAGES,
    BaseRecipe,
    add_recipe_arguments,
    load_recipe,
    parameters,
)
from veo_core.commandline import Parser
from veo_core.errors import UsageError

PIPELINES = {"pipeline": tuple(STAGES), "curation": CURATION}


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a command line asks for.

    Attributes:
        path: the profile's file.
        pipeline: "pipeline" or "curation".
        parameters: values of the pipeline's parameters.
        cached: whether tasks may use results that are there already.
        follow: whether to wait for the end.
        clips: how many clips of footage are expected, where that is known.
        choice: the first of the profile's choices of accelerators to use.
    """

    path: Path
    profile: Profile
    pipeline: str
    preset: str
    recipe: BaseRecipe
    parameters: dict[str, Any]
    cached: bool
    follow: bool
    dry_run: bool
    clips: int | None
    choice: int

    def compiled(self, choice: int) -> Compiled:
        """The pipeline with one of the profile's choices of accelerators, which takes the parameters.

        Raises:
            UsageError: the images are not digests, or the pipeline does not take the parameters.
        """
        compiled = Compiled.of(self.path, self.pipeline, choice, self.recipe.judge_server)
        compiled.check(self.parameters)
        return compiled if self.cached else compiled.without_caching()


def parser(prog: str, description: str) -> Parser:
    """The command line of a submitter."""
    made = Parser(prog=prog, description=description)
    made.add_argument("--profile", type=Path, required=True, metavar="FILE", help="where it runs")
    made.add_argument("--pipeline", default="pipeline", choices=PIPELINES, help="default: the whole pipeline")
    add_recipe_arguments(made)
    made.add_argument("--footage", metavar="URI", help="gs:// or s3:// prefix, or a list of URLs, of footage")
    made.add_argument(
        "--clips", type=int, metavar="N", help="clips expected of the footage, for the estimate"
    )
    made.add_argument(
        "--choice", type=int, default=0, metavar="N", help="first choice of accelerators to use, from 0 on"
    )
    made.add_argument("--no-cache", action="store_true", help="run every task anew")
    made.add_argument("--no-follow", action="store_true", help="do not wait for the end")
    made.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    return made


def read(arguments: argparse.Namespace) -> Submission:
    """What the command line asks for.

    Raises:
        UsageError: the profile, the recipe or the footage is wrong, holds a secret, or cannot be reached by
            remote machines.
    """
    settings = [*arguments.settings, *([f"seed={arguments.seed}"] if arguments.seed is not None else [])]
    footage = {"collect": _remote_footage(arguments.footage)} if arguments.footage else {}
    profile = load_profile(arguments.profile)
    place = _registry(profile, arguments.profile) if arguments.pipeline == "pipeline" else {}
    recipe = load_recipe(arguments.preset, arguments.config, settings, footage, place)
    values = parameters(recipe, profile.root, PIPELINES[arguments.pipeline])
    _check_remote(recipe)
    secrets.check(values, environ)
    return Submission(
        path=arguments.profile,
        profile=profile,
        pipeline=arguments.pipeline,
        preset=arguments.preset,
        recipe=recipe,
        parameters=values,
        cached=not arguments.no_cache,
        follow=not arguments.no_follow,
        dry_run=arguments.dry_run,
        choice=arguments.choice,
        clips=arguments.clips or _world_clips(recipe),
    )


def _registry(profile: Profile, path: Path) -> dict[str, Any]:
    """The settings by which approved models get into the profile's registry."""
    if not profile.model_registry:
        return {}
    if isinstance(profile, KubeflowProfile):
        return {"register": {"registry": {"kind": "kubeflow", "endpoint": profile.model_registry}}}
    registry = {
        "kind": "vertex",
        "project": profile.project,
        "region": profile.region,
        "serving_image": Images(path.parent / profile.images)["serve"],
        "serving_secrets": profile.secret_versions,
        "labels": profile.labels,
        "cmek_key": profile.cmek_key or "",
    }
    return {"register": {"registry": registry}}


def _remote_footage(place: str) -> dict[str, Any]:
    if "://" not in place:
        raise UsageError(
            f"--footage {place}: remote machines cannot read it; copy it to gs:// or s3:// first"
        )
    return footage_section(place)


def _check_remote(recipe: BaseRecipe) -> None:
    """Whether the recipe leaves out what only `veo run` starts on its own machine."""
    if recipe.executor != "pool":
        raise UsageError(f"executor: {recipe.executor}: remote stages take 'pool', each on its own machine")


def _world_clips(recipe: BaseRecipe) -> int | None:
    world = recipe.model_dump()["collect"]["world"]
    return world["clips"] if world else None
