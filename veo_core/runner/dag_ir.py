"""Reading the DAGs of compiled KFP IR: tasks, and where their inputs come from."""

import graphlib
import json
import re
from typing import Any

from veo_core.errors import UsageError
from veo_core.runner.node import Node, plain
from veo_core.runner.spec import (
    ArtifactSource,
    ComponentInput,
    Constant,
    Dag,
    FinalStatus,
    Iterator,
    ParameterBinding,
    ParameterSource,
    Retry,
    Task,
    TaskOutput,
)

_SELECTOR = re.compile(r'parseJson\(string_value\)\["([^"\\]+)"\]')
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_STRATEGIES = {
    "TRIGGER_STRATEGY_UNSPECIFIED": False,
    "ALL_UPSTREAM_TASKS_SUCCEEDED": False,
    "ALL_UPSTREAM_TASKS_COMPLETED": True,
}


def read_dag(node: Node) -> Dag:
    """The DAG under a component's `dag`.

    Raises:
        UsageError: it is malformed, cyclic, or holds a construct that is not implemented.
    """
    tasks = {name: _task(name, child) for name, child in node.children("tasks").items()}
    for task in tasks.values():
        for upstream in task.depends_on:
            if upstream not in tasks:
                raise UsageError(f"{node.where}: task {task.name!r} depends on unknown task {upstream!r}")
    dependencies = {task.name: task.depends_on for task in tasks.values()}
    try:
        order = list(graphlib.TopologicalSorter(dependencies).static_order())
    except graphlib.CycleError as error:
        raise UsageError(f"{node.where}: tasks depend on each other: {' -> '.join(error.args[1])}") from None
    outputs = node.node("outputs")
    dag = Dag(
        tasks={name: tasks[name] for name in order},
        parameter_outputs={
            name: _parameter_selectors(child) for name, child in outputs.children("parameters").items()
        },
        artifact_outputs={
            name: _artifact_selectors(child) for name, child in outputs.children("artifacts").items()
        },
    )
    outputs.done()
    node.done()
    return dag


def _parameter_selectors(node: Node) -> tuple[TaskOutput, ...]:
    if node.has("valueFromOneof"):
        choices = node.node("valueFromOneof")
        selectors = choices.nodes("parameterSelectors")
        choices.done()
    else:
        selectors = [node.node("valueFromParameter")]
    node.done()
    return tuple(_selector(selector, "outputParameterKey") for selector in selectors)


def _artifact_selectors(node: Node) -> tuple[TaskOutput, ...]:
    selectors = node.nodes("artifactSelectors")
    node.done()
    return tuple(_selector(selector, "outputArtifactKey") for selector in selectors)


def _selector(node: Node, key: str) -> TaskOutput:
    output = TaskOutput(task=node.text("producerSubtask"), key=node.text(key))
    node.done()
    return output


def _task(name: str, node: Node) -> Task:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{node.where}: {name!r} is no task name")
    inputs = node.node("inputs")
    parameters = {key: _parameter_binding(child) for key, child in inputs.children("parameters").items()}
    artifacts = {key: _artifact_source(child) for key, child in inputs.children("artifacts").items()}
    inputs.done()
    info, reference, trigger = node.node("taskInfo"), node.node("componentRef"), node.node("triggerPolicy")
    caching = node.node("cachingOptions")
    strategy = trigger.text("strategy", "TRIGGER_STRATEGY_UNSPECIFIED")
    if strategy not in _STRATEGIES:
        raise UsageError(f"{trigger.where}: strategy {strategy} is not implemented")
    read_from = [b.source.task for b in parameters.values() if isinstance(b.source, TaskOutput | FinalStatus)]
    read_from += [source.task for source in artifacts.values() if isinstance(source, TaskOutput)]
    task = Task(
        name=name,
        display_name=info.text("name", name),
        component=reference.text("name"),
        depends_on=tuple(sorted({*node.strings("dependentTasks"), *read_from})),
        parameters=parameters,
        artifacts=artifacts,
        condition=trigger.text("condition", "") or None,
        after_failure=_STRATEGIES[strategy],
        iterator=_iterator(node),
        retry=_retry(node.node("retryPolicy")),
        cache=bool(caching.value("enableCache", False)),
    )
    for child in (info, reference, trigger, caching, node):
        child.done()
    return task


def _parameter_binding(node: Node) -> ParameterBinding:
    source: ParameterSource
    if node.has("runtimeValue"):
        value = node.node("runtimeValue")
        source = Constant(plain(value.value("constant")))
        value.done()
    elif node.has("taskOutputParameter"):
        output = node.node("taskOutputParameter")
        source = TaskOutput(output.text("producerTask"), output.text("outputParameterKey"))
        output.done()
    elif node.has("taskFinalStatus"):
        status = node.node("taskFinalStatus")
        source = FinalStatus(status.text("producerTask"))
        status.done()
    else:
        source = ComponentInput(node.text("componentInputParameter"))
    expression = node.text("parameterExpressionSelector", "")
    match = _SELECTOR.fullmatch(expression)
    if expression and not match:
        raise UsageError(f"{node.where}: parameterExpressionSelector {expression} is not implemented")
    node.done()
    return ParameterBinding(source, key=match[1] if match else None)


def _artifact_source(node: Node) -> ArtifactSource:
    source: ArtifactSource
    if node.has("taskOutputArtifact"):
        output = node.node("taskOutputArtifact")
        source = TaskOutput(output.text("producerTask"), output.text("outputArtifactKey"))
        output.done()
    else:
        source = ComponentInput(node.text("componentInputArtifact"))
    node.done()
    return source


def _iterator(node: Node) -> Iterator | None:
    policy = node.node("iteratorPolicy")
    limit = policy.value("parallelismLimit", None)
    policy.done()
    if not node.has("parameterIterator"):
        return None
    iterator = node.node("parameterIterator")
    source = iterator.node("items")
    items: tuple[Any, ...] | str
    if source.has("raw"):
        try:
            items = tuple(json.loads(source.text("raw")))
        except (ValueError, TypeError):
            raise UsageError(f"{source.where}: `raw` is no JSON list") from None
    else:
        items = source.text("inputParameter")
    source.done()
    loop = Iterator(item_input=iterator.text("itemInput"), items=items, parallelism=limit)
    iterator.done()
    return loop


def _retry(node: Node) -> Retry:
    retry = Retry(
        count=int(node.value("maxRetryCount", 0)),
        backoff=_seconds(node, "backoffDuration", 0.0),
        factor=float(node.value("backoffFactor", 2.0)),
        backoff_limit=_seconds(node, "backoffMaxDuration", 3600.0),
    )
    node.done()
    return retry


def _seconds(node: Node, key: str, default: float) -> float:
    text = node.text(key, "")
    if not text:
        return default
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise UsageError(f"{node.where}: {key} {text!r} is no duration") from None
