"""A compiled pipeline without what a target adds: images, launchers, machines, caching, retries."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google_cloud_pipeline_components.v1.custom_job import CustomTrainingJobOp

JOB = CustomTrainingJobOp.component_spec
_ESCAPE = re.compile(r"\.json_escape\[\d\]")


def neutral(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What must be equal on every target: the DAG, interfaces, arguments and conditions."""
    ir = documents[0]
    components = {name: _component(ir, component) for name, component in ir["components"].items()}
    root = _dag(ir["root"]) | {"inputDefinitions": _without_store(ir["root"]["inputDefinitions"])}
    return {"name": ir["pipelineInfo"], "schema": ir["schemaVersion"], "components": components, "root": root}


def _component(ir: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
    if "dag" in component:
        return _dag(component)
    container = ir["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    inputs, outputs = component["inputDefinitions"], component["outputDefinitions"]
    if "worker_pool_specs" in inputs["parameters"]:
        pools = inputs["parameters"]["worker_pool_specs"]["defaultValue"]
        container = pools[0]["container_spec"]
        assert all(pool["container_spec"] == container for pool in pools)
        inputs = _without_parameters(inputs, JOB.inputs)
        outputs = _without_parameters(outputs, JOB.outputs)
    return {
        "inputs": inputs,
        "outputs": outputs,
        "module": container["command"][-1],
        "arguments": [_ESCAPE.sub("", argument) for argument in container["args"]],
    }


def _dag(component: Mapping[str, Any]) -> dict[str, Any]:
    dag = component["dag"]
    placement = {"cachingOptions", "retryPolicy"}
    tasks = {
        name: {key: value for key, value in task.items() if key not in placement}
        for name, task in dag["tasks"].items()
    }
    return {**component, "dag": dag | {"tasks": tasks}}


def _without_store(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's parameters without the address of the store, which belongs to a target."""
    parameters = definitions["parameters"]
    root = {key: value for key, value in parameters["root"].items() if key != "defaultValue"}
    return {"parameters": parameters | {"root": root}}


def _without_parameters(definitions: Mapping[str, Any], names: Any) -> dict[str, Any]:
    kept = {name: value for name, value in definitions["parameters"].items() if name not in names}
    return {**definitions, "parameters": kept}
