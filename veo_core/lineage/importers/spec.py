"""The steps of a compiled pipeline, with where their inputs come from.

Source: PipelineSpec 2.1.0, https://github.com/kubeflow/pipelines/blob/master/api/v2alpha1/pipeline_spec.proto,
as both platforms give it back with a run.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from veo_core.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Output:
    """An output of a step, which another one reads."""

    step: str
    key: str


@dataclass(frozen=True)
class Step:
    """A container of the pipeline.

    Attributes:
        path: of the groups that it is in and its own name, such as "condition-6/register".
        groups: paths of the groups that it is in.
        looped: whether one of them is a loop.
        parameters: values, and outputs of steps whose values they are.
        artifacts: the outputs that it reads, by its own name of the input.
        outputs: names of its artifacts.
    """

    path: str
    component: str
    image: str
    command: list[str]
    depends_on: list[str]
    groups: tuple[str, ...] = ()
    looped: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Output] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class _Scope:
    """A graph of tasks inside of the pipeline, and what its inputs are."""

    groups: tuple[str, ...] = ()
    looped: bool = False
    depends_on: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Output] = field(default_factory=dict)

    def path(self, name: str) -> str:
        return f"{self.groups[-1]}/{name}" if self.groups else name


def arguments_of(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's parameters: what was given, else their defaults."""
    known = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    defaults = {name: one["defaultValue"] for name, one in known.items() if "defaultValue" in one}
    whole = {name for name, one in known.items() if one.get("parameterType") == "NUMBER_INTEGER"}
    values = defaults | dict(given)
    return {name: _integer(value) if name in whole else value for name, value in values.items()}


def steps_of(spec: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Step]:
    """The steps of a pipeline, each after those that it depends on, else by name.

    Raises:
        UsageError: it is no pipeline, or names something as no file may be named.
    """
    try:
        steps = {step.path: step for step in _steps(spec, spec["root"]["dag"], _Scope(parameters=arguments))}
        return [steps[path] for path in _in_order(steps)]
    except (KeyError, TypeError, AttributeError, IndexError, CycleError) as error:
        raise UsageError(f"the run's pipeline is not understood: {type(error).__name__} {error}") from None


def _in_order(steps: Mapping[str, Step]) -> Iterator[str]:
    """Paths in the order of dependence; on a group depends what depends on all in it."""
    members: dict[str, list[str]] = {}
    for step in steps.values():
        for place in (step.path, *step.groups):
            members.setdefault(place, []).append(step.path)
    graph = {
        path: {before for name in step.depends_on for before in members.get(name, ())}
        for path, step in steps.items()
    }
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        yield from ready
        sorter.done(*ready)


def checked_name(name: str) -> str:
    """A name of the platform's, if a file may have it.

    Raises:
        UsageError: it may lead elsewhere.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"the run names something {name!r}, which no file can be called")
    return name


def _steps(spec: Mapping[str, Any], dag: Mapping[str, Any], scope: _Scope) -> Iterator[Step]:
    for name, task in dag["tasks"].items():
        path = scope.path(checked_name(name))
        component = spec["components"][task["componentRef"]["name"]]
        inputs = task.get("inputs", {})
        depends_on = sorted(map(scope.path, task.get("dependentTasks", ()))) or list(scope.depends_on)
        parameters = {
            key: value
            for key, source in inputs.get("parameters", {}).items()
            if (value := _parameter(source, scope)) is not None
        }
        artifacts = {
            key: found
            for key, source in inputs.get("artifacts", {}).items()
            if (found := _artifact(source, scope)) is not None
        }
        if "dag" in component:
            looped = scope.looped or "parameterIterator" in task or "artifactIterator" in task
            inner = _Scope((*scope.groups, path), looped, tuple(depends_on), parameters, artifacts)
            yield from _steps(spec, component["dag"], inner)
            continue
        image, command = _container(spec, component)
        yield Step(
            path=path,
            component=task["componentRef"]["name"].removeprefix("comp-"),
            image=image,
            command=command,
            depends_on=depends_on,
            groups=scope.groups,
            looped=scope.looped,
            parameters=parameters,
            artifacts=artifacts,
            outputs=[
                checked_name(key) for key in component.get("outputDefinitions", {}).get("artifacts", {})
            ],
        )


def _container(spec: Mapping[str, Any], component: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Image and command of a component; of one that a launcher starts as a custom job, those of the job."""
    inputs = component.get("inputDefinitions", {}).get("parameters", {})
    pools = inputs.get("worker_pool_specs", {}).get("defaultValue")
    if pools:
        container = pools[0]["container_spec"]
        image = container["image_uri"]
    else:
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]].get("container", {})
        image = container.get("image", "")
    return image, [*container.get("command", ()), *container.get("args", ())]


def _parameter(source: Mapping[str, Any], scope: _Scope) -> Any:
    """The value of an input, or the output that it is; None where the pipeline alone does not tell."""
    if "componentInputParameter" in source:
        return scope.parameters.get(source["componentInputParameter"])
    if "taskOutputParameter" in source:
        of = source["taskOutputParameter"]
        return Output(scope.path(of["producerTask"]), of["outputParameterKey"])
    return source.get("runtimeValue", {}).get("constant")


def _artifact(source: Mapping[str, Any], scope: _Scope) -> Output | None:
    if "componentInputArtifact" in source:
        return scope.artifacts.get(source["componentInputArtifact"])
    of = source.get("taskOutputArtifact")
    return None if of is None else Output(scope.path(of["producerTask"]), of["outputArtifactKey"])


def _integer(value: Any) -> Any:
    """Protobuf's Struct has floating-point numbers alone."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
