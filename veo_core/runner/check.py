"""Checks of a pipeline that need the whole of it: every name that the IR uses must exist."""

from collections.abc import Mapping
from typing import Any

from veo_core.errors import UsageError
from veo_core.runner import placeholders
from veo_core.runner.conditions import ConditionError, parse
from veo_core.runner.spec import (
    Component,
    ComponentInput,
    Constant,
    Container,
    Dag,
    FinalStatus,
    ParameterBinding,
    Pipeline,
    Task,
    TaskOutput,
)


def check_pipeline(pipeline: Pipeline, where: str) -> None:
    """Refuse what the engine cannot run.

    Raises:
        UsageError: the first such construct, by its name and place.
    """
    if not isinstance(pipeline.root.implementation, Dag):
        raise UsageError(f"{where}: a root without `dag` is not implemented")
    _check_component(pipeline, pipeline.root, where, ())


def _check_component(pipeline: Pipeline, component: Component, where: str, parents: tuple[str, ...]) -> None:
    here = f"{where}: {component.name}"
    if component.name in parents:
        raise UsageError(f"{here}: a component that contains itself is not implemented")
    implementation = component.implementation
    if isinstance(implementation, Container):
        _check_container(component, implementation, here)
    if not isinstance(implementation, Dag):
        return
    for task in implementation.tasks.values():
        if task.component not in pipeline.components:
            raise UsageError(f"{here}: task {task.name!r} names unknown component {task.component!r}")
        _check_task(pipeline, component, implementation, task, f"{here}: task {task.name!r}")
        _check_component(pipeline, pipeline.component(task), where, (*parents, component.name))
    for sources, artifacts in (
        *((sources, False) for sources in implementation.parameter_outputs.values()),
        *((sources, True) for sources in implementation.artifact_outputs.values()),
    ):
        for source in sources:
            _check_output(pipeline, implementation, source, artifacts, here)


def _check_container(component: Component, container: Container, where: str) -> None:
    if not container.command and not container.args:
        raise UsageError(f"{where}: a container without command (the image's entry point) is not implemented")
    for name, output in component.output_artifacts.items():
        if output.is_list:
            raise UsageError(f"{where}: output {name!r} is a list of artifacts, which is not implemented")
    names: dict[str, Mapping[str, Any]] = {
        "inputs.parameters": component.parameters,
        "inputs.artifacts": component.artifacts,
        "outputs.parameters": component.output_parameters,
        "outputs.artifacts": component.output_artifacts,
    }
    for element in (*container.command, *container.args):
        for text in placeholders.texts(element):
            placeholders.check(text, where=where, known=lambda kind, name: name in names[kind])
    for text in container.env.values():
        placeholders.check(text, where=where, known=lambda kind, name: name in names[kind])


def _check_task(pipeline: Pipeline, parent: Component, dag: Dag, task: Task, where: str) -> None:
    component = pipeline.component(task)
    for name, binding in task.parameters.items():
        _check_binding(pipeline, parent, dag, task, binding, f"{where}: input {name!r}")
    for name, source in task.artifacts.items():
        if isinstance(source, TaskOutput):
            _check_output(pipeline, dag, source, True, where)
        elif source.name not in parent.artifacts:
            raise UsageError(f"{where}: input {name!r} reads unknown input artifact {source.name!r}")
    loop_item = {task.iterator.item_input} if task.iterator else set()
    for name, parameter in component.parameters.items():
        if name not in task.parameters and name not in loop_item and not parameter.optional:
            raise UsageError(f"{where}: required input {name!r} is not set")
    for name, artifact in component.artifacts.items():
        if name not in task.artifacts and not artifact.optional:
            raise UsageError(f"{where}: required input artifact {name!r} is not set")
    if task.retry.count and isinstance(component.implementation, Dag):
        raise UsageError(f"{where}: retryPolicy on a nested pipeline is not implemented")
    if task.iterator and isinstance(task.iterator.items, str) and task.iterator.items not in task.parameters:
        raise UsageError(f"{where}: loop over unknown input {task.iterator.items!r}")
    if task.condition:
        try:
            condition = parse(task.condition)
        except ConditionError as error:
            raise UsageError(f"{where}: {error}") from None
        for name in condition.names - set(task.parameters):
            raise UsageError(f"{where}: its condition reads unknown input {name!r}")


def _check_binding(
    pipeline: Pipeline, parent: Component, dag: Dag, task: Task, binding: ParameterBinding, where: str
) -> None:
    match binding.source:
        case TaskOutput():
            _check_output(pipeline, dag, binding.source, False, where)
        case ComponentInput(name):
            if name not in parent.parameters:
                hint = (
                    ": kfp leaves a loop's item unbound where a text within a nested group uses it; "
                    "pass the item itself as an input"
                    if "loop-item" in name
                    else ""
                )
                raise UsageError(f"{where} reads unknown input parameter {name!r} of {parent.name}{hint}")
        case FinalStatus(upstream):
            if upstream not in dag.tasks:
                raise UsageError(f"{where} reads the status of unknown task {upstream!r}")
        case Constant(value):
            for text in _strings(value):
                placeholders.check(
                    text,
                    where=where,
                    known=lambda kind, name: kind == "inputs.parameters" and name in task.parameters,
                )


def _check_output(pipeline: Pipeline, dag: Dag, source: TaskOutput, artifacts: bool, where: str) -> None:
    producer = dag.tasks.get(source.task)
    if producer is None:
        raise UsageError(f"{where}: reads from unknown task {source.task!r}")
    component = pipeline.component(producer) if producer.component in pipeline.components else None
    if component is None:
        return
    known: Mapping[str, Any] = component.output_artifacts if artifacts else component.output_parameters
    if source.key not in known:
        kind = "artifact" if artifacts else "parameter"
        raise UsageError(f"{where}: task {source.task!r} has no output {kind} {source.key!r}")


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in _strings(item))]
    return []
