"""Reading compiled KFP IR, strictly: what is not implemented is refused by name before anything runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.runner.check import check_pipeline
from veo_core.runner.dag_ir import read_dag
from veo_core.runner.node import Node, plain
from veo_core.runner.spec import (
    ArtifactInput,
    ArtifactOutput,
    Component,
    ComponentInput,
    Container,
    Dag,
    Importer,
    ParameterInput,
    ParameterType,
    Pipeline,
)

_SCHEMA_VERSION = "2.1.0"


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
        return read_dag(node.node("dag"))
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
        uri=place, schema=_schema(node.node("typeSchema")), metadata=plain(node.value("metadata", {}))
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
        default=plain(node.value("defaultValue", None)),
        literals=tuple(plain(node.value("literals", []))),
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
        metadata=plain(node.value("metadata", {})),
    )
    node.skip("description")
    node.done()
    return artifact
