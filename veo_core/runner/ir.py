"""Reading compiled KFP IR, strictly: what is not implemented is refused by name before anything runs."""

import graphlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.runner.check import check_pipeline
from veo_core.runner.node import Node
from veo_core.runner.spec import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactSource,
    Component,
    ComponentInput,
    Constant,
    Container,
    Dag,
    FinalStatus,
    Importer,
    Iterator,
    ParameterBinding,
    ParameterInput,
    ParameterSource,
    ParameterType,
    Pipeline,
    Retry,
    Task,
    TaskOutput,
)

_SCHEMA_VERSION = "2.1.0"
_SELECTOR = re.compile(r'parseJson\(string_value\)\["([^"\\]+)"\]')
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_STRATEGIES = {
    "TRIGGER_STRATEGY_UNSPECIFIED": False,
    "ALL_UPSTREAM_TASKS_SUCCEEDED": False,
    "ALL_UPSTREAM_TASKS_COMPLETED": True,
}


def load(path: str | Path) -> Pipeline:
    """Read and check a compiled pipeline.

    Raises:
        UsageError: the file cannot be read, is no compiled pipeline, or holds a construct that is not
            implemented; the message names it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    return loads(text, where=str(path))


def loads(text: str, *, where: str) -> Pipeline:
    """Like `load`, from text; `where` names its origin in errors."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    if len(documents) > 1:
        raise UsageError(
            f"{where}: a second YAML document (platform spec) is not implemented: compile the pipeline "
            "without Kubernetes settings for the embedded target"
        )
    if not documents or not isinstance(documents[0], dict) or "root" not in documents[0]:
        raise UsageError(f"{where}: not a compiled pipeline: it has no `root`")
    return _pipeline(documents[0], text, where)


def _pipeline(document: dict[str, Any], text: str, where: str) -> Pipeline:
    top = Node(document, where)
    version = top.text("schemaVersion")
    if version != _SCHEMA_VERSION:
        raise UsageError(f"{where}: schemaVersion {version!r} is not implemented, only {_SCHEMA_VERSION}")
    top.skip("sdkVersion")
    info = top.node("pipelineInfo")
    name = info.text("name")
    info.skip("displayName", "description")
    info.done()
    deployment = top.node("deploymentSpec")
    executors = deployment.children("executors")
    deployment.done()
    components = {key: _component(key, node, executors) for key, node in top.children("components").items()}
    root = _component("root", top.node("root"), executors)
    pipeline = Pipeline(
        name=name,
        root=root,
        components=components,
        pipeline_root=top.text("defaultPipelineRoot", ""),
        digest=sha256_bytes(canonical_json(document)),
        text=text,
    )
    top.done()
    check_pipeline(pipeline, where)
    return pipeline


def _component(name: str, node: Node, executors: Mapping[str, Node]) -> Component:
    inputs, outputs = node.node("inputDefinitions"), node.node("outputDefinitions")
    component = Component(
        name=name,
        implementation=_implementation(node, executors),
        parameters={key: _parameter_input(child) for key, child in inputs.children("parameters").items()},
        artifacts={key: _artifact_input(child) for key, child in inputs.children("artifacts").items()},
        output_parameters={
            key: _parameter_output(child) for key, child in outputs.children("parameters").items()
        },
        output_artifacts={
            key: _artifact_output(child) for key, child in outputs.children("artifacts").items()
        },
    )
    inputs.done()
    outputs.done()
    node.done()
    return component


def _implementation(node: Node, executors: Mapping[str, Node]) -> Dag | Container | Importer:
    if node.has("dag"):
        return _dag(node.node("dag"))
    label = node.text("executorLabel")
    executor = executors.get(label)
    if executor is None:
        raise UsageError(f"{node.where}: no executor {label!r} in deploymentSpec")
    if executor.has("importer"):
        importer = _importer(executor.node("importer"))
        executor.done()
        return importer
    if not executor.has("container"):
        executor.done()
        raise UsageError(f"{executor.where}: an executor without container is not implemented")
    container = _container(executor.node("container"))
    executor.done()
    return container


def _container(node: Node) -> Container:
    resources = node.node("resources")
    accelerator = resources.has("accelerator")
    resources.skip(
        *("accelerator", "cpuLimit", "cpuRequest", "memoryLimit", "memoryRequest"),
        *("resourceCpuLimit", "resourceCpuRequest", "resourceMemoryLimit", "resourceMemoryRequest"),
    )
    resources.done()
    env: dict[str, str] = {}
    for variable in node.nodes("env"):
        env[variable.text("name")] = variable.text("value", "")
        variable.done()
    container = Container(
        command=tuple(node.strings("command")),
        args=tuple(node.strings("args")),
        env=env,
        accelerator=accelerator,
    )
    node.skip("image")
    node.done()
    return container


def _importer(node: Node) -> Importer:
    uri = node.node("artifactUri")
    place: str | ComponentInput = (
        ComponentInput(uri.text("runtimeParameter")) if uri.has("runtimeParameter") else uri.text("constant")
    )
    uri.done()
    importer = Importer(
        uri=place, schema=_schema(node.node("typeSchema")), metadata=_plain(node.value("metadata", {}))
    )
    node.skip("reimport")
    node.done()
    return importer


def _schema(node: Node) -> dict[str, str]:
    return {key: node.text(key) for key in ("schemaTitle", "schemaVersion") if node.has(key)}


def _parameter_type(node: Node) -> ParameterType:
    name = node.text("parameterType")
    try:
        return ParameterType(name)
    except ValueError:
        raise UsageError(f"{node.where}: parameterType {name} is not implemented") from None


def _parameter_input(node: Node) -> ParameterInput:
    parameter = ParameterInput(
        type=_parameter_type(node),
        optional=bool(node.value("isOptional", False)),
        default=_plain(node.value("defaultValue", None)),
        literals=tuple(_plain(node.value("literals", []))),
    )
    node.skip("description")
    node.done()
    return parameter


def _parameter_output(node: Node) -> ParameterType:
    kind = _parameter_type(node)
    node.skip("description")
    node.done()
    return kind


def _artifact_input(node: Node) -> ArtifactInput:
    artifact = ArtifactInput(
        schema=_schema(node.node("artifactType")),
        is_list=bool(node.value("isArtifactList", False)),
        optional=bool(node.value("isOptional", False)),
    )
    node.skip("description")
    node.done()
    return artifact


def _artifact_output(node: Node) -> ArtifactOutput:
    artifact = ArtifactOutput(
        schema=_schema(node.node("artifactType")),
        is_list=bool(node.value("isArtifactList", False)),
        metadata=_plain(node.value("metadata", {})),
    )
    node.skip("description")
    node.done()
    return artifact


def _dag(node: Node) -> Dag:
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
        source = Constant(_plain(value.value("constant")))
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


def _plain(value: Any) -> Any:
    """A value from the IR, in which every number is a double: whole ones are integers again."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
