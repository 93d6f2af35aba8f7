"""What a submission sends, where, and what the run will cost, for people to read before they agree."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.submit.arguments import PIPELINES, Submission
from pipelines.submit.compiled import Compiled
from pipelines.targets.profile import VertexProfile
from veo_core.cli.recipe import STAGES
from veo_core.errors import UsageError
from veo_core.plan.estimate import ACCELERATOR_POOL, CPU_POOL, Estimate, Pool, estimate


def describe(
    submission: Submission,
    compiled: Compiled,
    place: Mapping[str, str],
    labels: Mapping[str, str],
) -> str:
    """The text of a dry run.

    Args:
        place: where it goes: what a service calls it -> its value.
    """
    lines = [
        f"pipeline   {compiled.name}, IR sha256 {compiled.digest}",
        *(f"{name:<10} {value}" for name, value in place.items()),
        *(f"label      {name}={value}" for name, value in sorted(labels.items())),
        *(f"image      {image}" for image in sorted(set(compiled.images()))),
        f"documents  {len(compiled.documents)}, tasks {len(list(compiled.tasks()))}",
        "parameters, of configurations what differs from the stages' defaults",
        *_parameters(submission),
        "",
        *_cost(submission),
        "dry run: nothing was sent",
    ]
    return "\n".join(lines)


def _parameters(submission: Submission) -> Iterator[str]:
    changed = submission.recipe.model_dump(mode="json", exclude_defaults=True)
    for name, value in submission.parameters.items():
        stage = name.removesuffix("_config")
        shown = value if stage == name else changed.get(stage, {})
        yield f"  {name} = {json.dumps(shown, ensure_ascii=False)}"


def _cost(submission: Submission) -> Iterator[str]:
    if submission.clips is None:
        yield "cost       not estimated: say by --clips how many clips the footage has"
        return
    try:
        yield str(_estimate(submission, submission.clips))
    except UsageError as error:
        yield f"cost       not estimated: {error}"


def _estimate(submission: Submission, clips: int) -> Estimate:
    values: dict[str, Any] = submission.recipe.model_dump()
    parts = max(1, values["parts"])
    cpu, accelerator = CPU_POOL.model_copy(update={"count": parts}), ACCELERATOR_POOL
    profile = submission.profile
    if isinstance(profile, VertexProfile):
        choice = profile.pools.accelerator[submission.choice]
        cpu = _pool(profile.pools.cpu.machine_type, parts, spot=profile.pools.cpu.spot)
        accelerator = _pool(choice.machine_type, choice.replicas, spot=choice.scheduling == "spot")
    size = values["train_base"]["size"]
    whole = estimate(clips, profile.target, size=size, cpu=cpu, accelerator=accelerator)
    left_out = {stage.replace("_", "-") for stage in set(STAGES) - set(PIPELINES[submission.pipeline])}
    return whole.model_copy(update={"rows": [row for row in whole.rows if row.stage not in left_out]})


def _pool(machine: str, count: int, *, spot: bool) -> Pool:
    return Pool(machine=machine, count=count, purchase="spot" if spot else "on_demand")
