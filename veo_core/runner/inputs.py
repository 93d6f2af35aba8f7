"""Resolving a task's inputs from its DAG's inputs and from what its siblings produced."""

import json
from collections.abc import Mapping
from typing import Any

from veo_core.runner.artifacts import Artifact
from veo_core.runner.context import Outcome, Values
from veo_core.runner.parameters import checked
from veo_core.runner.placeholders import Bindings, PlaceholderError, resolve
from veo_core.runner.spec import (
    Component,
    ComponentInput,
    Constant,
    FinalStatus,
    Iterator,
    ParameterBinding,
    Task,
    TaskOutput,
)

_FAILED = 2  # google.rpc.Code UNKNOWN
_MISSING = object()


class InputError(ValueError):
    """An input that has no value or one of the wrong type."""


def bound_parameters(
    task: Task, scope: Values, outcomes: Mapping[str, Outcome], run_values: Mapping[str, str]
) -> dict[str, Any]:
    """The parameters that the IR binds to a task, those for its condition and texts among them.

    Raises:
        InputError: a loop item lacks the entry that is read from it, or a text cannot be resolved.
    """
    bound: dict[str, Any] = {}
    for name, binding in task.parameters.items():
        if not isinstance(binding.source, Constant):
            value = _selected(name, binding, _read(binding, scope, outcomes, run_values))
            if value is not _MISSING:
                bound[name] = value
    bindings = Bindings(run_values, dict(bound))
    for name, binding in task.parameters.items():
        if isinstance(binding.source, Constant):
            try:
                bound[name] = resolve(binding.source.value, bindings)
            except PlaceholderError as error:
                raise InputError(f"input {name!r}: {error}") from None
    return bound


def component_inputs(
    task: Task,
    component: Component,
    bound: Mapping[str, Any],
    scope: Values,
    outcomes: Mapping[str, Outcome],
) -> Values:
    """What the component receives: its declared inputs, with its defaults, type-checked.

    The item of a loop is left out; each iteration brings its own.

    Raises:
        InputError: a required input has no value, or a value is of the wrong type.
    """
    parameters: dict[str, Any] = {}
    for name, spec in component.parameters.items():
        if task.iterator and name == task.iterator.item_input:
            continue
        value = bound.get(name)
        if value is None:
            value = spec.default
        if value is not None:
            try:
                parameters[name] = checked(value, spec)
            except ValueError as error:
                raise InputError(f"input {name!r}: {error}") from None
        elif not spec.optional:
            raise InputError(f"input {name!r} has no value")
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for name, artifact_spec in component.artifacts.items():
        source = task.artifacts.get(name)
        found = None
        if isinstance(source, ComponentInput):
            found = scope.artifacts.get(source.name)
        elif isinstance(source, TaskOutput):
            found = outcomes[source.task].outputs.artifacts.get(source.key)
        if found is not None:
            artifacts[name] = found
        elif not artifact_spec.optional:
            raise InputError(f"input artifact {name!r} has no value")
    return Values(parameters, artifacts)


def loop_items(
    iterator: Iterator, component: Component, bound: Mapping[str, Any], run_values: Mapping[str, str]
) -> list[Any]:
    """The items of a loop, each of the type that the loop's body declares.

    Raises:
        InputError: there is no list, or an item is of the wrong type.
    """
    if isinstance(iterator.items, tuple):
        bindings = Bindings(run_values, bound)
        try:
            items: Any = [resolve(item, bindings) for item in iterator.items]
        except PlaceholderError as error:
            raise InputError(f"loop items: {error}") from None
    else:
        items = bound.get(iterator.items)
        if isinstance(items, str):
            try:
                items = json.loads(items)
            except ValueError:
                raise InputError(f"loop over {iterator.items!r}: its text is no JSON") from None
    if not isinstance(items, list):
        raise InputError(f"loop over {iterator.items!r}: it is no list")
    spec = component.parameters.get(iterator.item_input)
    try:
        return [item if spec is None else checked(item, spec) for item in items]
    except ValueError as error:
        raise InputError(f"loop item: {error}") from None


def _read(
    binding: ParameterBinding, scope: Values, outcomes: Mapping[str, Outcome], run_values: Mapping[str, str]
) -> Any:
    match binding.source:
        case ComponentInput(name):
            return scope.parameters.get(name, _MISSING)
        case TaskOutput(task, key):
            return outcomes[task].outputs.parameters.get(key, _MISSING)
        case FinalStatus(task):
            return _final_status(task, outcomes[task], run_values)
    raise AssertionError(binding)


def _selected(name: str, binding: ParameterBinding, value: Any) -> Any:
    if binding.key is None or value is _MISSING:
        return value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise InputError(f"input {name!r}: {value!r} is no JSON") from None
    if not isinstance(value, dict) or binding.key not in value:
        raise InputError(f"input {name!r}: the item has no entry {binding.key!r}")
    return value[binding.key]


def _final_status(task: str, outcome: Outcome, run_values: Mapping[str, str]) -> dict[str, Any]:
    """KFP's PipelineTaskFinalStatus message."""
    status: dict[str, Any] = {
        "state": outcome.state,
        "pipelineJobUuid": run_values["pipeline_job_uuid"],
        "pipelineJobName": run_values["pipeline_job_name"],
        "pipelineJobResourceName": run_values["pipeline_job_resource_name"],
        "pipelineTaskName": task,
    }
    if outcome.state == "FAILED":
        status["error"] = {"code": _FAILED, "message": outcome.message}
    return status
