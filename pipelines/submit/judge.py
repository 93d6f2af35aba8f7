"""Whether the stages of a remote run find a judge."""

from collections.abc import Iterator, Sequence

from veo_core.cli.recipe import BaseRecipe


def problems(recipe: BaseRecipe, stages: Sequence[str]) -> Iterator[str]:
    """A line if stages would ask the world's judge, which only `veo run` starts, on its own machine."""
    values = recipe.model_dump()
    silent = [
        stage for stage in stages if "judge" in values[stage] and not values[stage]["judge"]["endpoints"]
    ]
    if recipe.judge_server == "world" and silent:
        yield (
            f"{', '.join(silent)}: the world's judge listens on the machine of `veo run` alone: give the "
            "address of one that the remote machines reach, --set judge.endpoints=[URL], or --set "
            "judge_server=external where the stages' environment has OPENAI_BASE_URL"
        )
