"""The part of a compiled pipeline that a replay executes."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from veo_core.errors import UsageError

_PUBLISHES = "veo_core.registry.register"


@dataclass(frozen=True)
class Part:
    """A part of a pipeline.

    Attributes:
        document: the compiled pipeline with the tasks of this part alone.
        tasks: their names at the root.
        left_out: paths of tasks that would publish a model, and of those that need them: never replayed.
    """

    document: dict[str, Any]
    tasks: list[str]
    left_out: list[str]

    def holds(self, task: str) -> bool:
        """Whether a task of a run's record, by its path, is in this part."""
        return task.split("/")[0] in self.tasks


def part_of(document: Mapping[str, Any], until: str = "") -> Part:
    """The tasks of a pipeline up to one of them, without those that register a model and what needs these.

    Args:
        document: a compiled pipeline.
        until: the last task by name; the rest of the pipeline where it is empty.

    Raises:
        UsageError: there is no such task, or it registers a model.
    """
    tasks = document["root"]["dag"]["tasks"]
    published = [name for name, task in tasks.items() if _PUBLISHES in _programs(document, task)]
    left_out = {name for name in tasks if {name, *_before(tasks, name)} & set(published)}
    if until and until not in set(tasks) - left_out:
        known = ", ".join(name for name in tasks if name not in left_out)
        raise UsageError(f"--until {until}: the run has no such stage to replay; it has: {known}")
    wanted = {until, *_before(tasks, until)} if until else set(tasks) - left_out
    part = copy.deepcopy(dict(document))
    part["root"]["dag"] = {"tasks": {name: task for name, task in tasks.items() if name in wanted}}
    part["root"].pop("outputDefinitions", None)
    paths = [path for name in sorted(left_out) for path in _leaves(document, name, tasks[name])]
    return Part(part, [name for name in tasks if name in wanted], paths)


def _before(tasks: Mapping[str, Any], name: str) -> set[str]:
    """All tasks that must end before one starts."""
    found: set[str] = set()
    pending = list(_needs(tasks[name]))
    while pending:
        task = pending.pop()
        if task not in found:
            found.add(task)
            pending += _needs(tasks[task])
    return found


def _needs(task: Mapping[str, Any]) -> set[str]:
    inputs = task.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    producers = {value["producerTask"] for s in sources for value in s.values() if "producerTask" in value}
    return producers | set(task.get("dependentTasks", []))


def _leaves(document: Mapping[str, Any], path: str, task: Mapping[str, Any]) -> Iterator[str]:
    """Paths of the tasks that run something, in a group or on their own."""
    component = document["components"][task["componentRef"]["name"]]
    if "dag" not in component:
        yield path
        return
    for name, inner in component["dag"]["tasks"].items():
        yield from _leaves(document, f"{path}/{name}", inner)


def _programs(document: Mapping[str, Any], task: Mapping[str, Any]) -> Iterator[str]:
    """Every word of the commands that a task or a group runs."""
    component = document["components"][task["componentRef"]["name"]]
    if "dag" in component:
        for inner in component["dag"]["tasks"].values():
            yield from _programs(document, inner)
    else:
        executor = document["deploymentSpec"]["executors"][component["executorLabel"]]
        yield from executor.get("container", {}).get("command", [])
