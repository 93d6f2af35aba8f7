"""What is not implemented is refused by its name before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl, kubernetes
from runner_components import IMAGE, fail, join, say, write
from runner_testing import Run, compile_text

from veo_core.errors import UsageError
from veo_core.runner import ir


@dsl.pipeline
def plain(x: str = "a"):
    say(text=f"{x}").set_retry(2)
    with dsl.If(x == "a"):
        write(text=x)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return yaml.safe_load(compile_text(plain, tmp_path))


def set_in(document: Any, path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for key in parents:
        document = document.setdefault(key, {})
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schemaVersion", "2.2.0", "schemaVersion '2.2.0' is not implemented"),
        ("futureField", 1, "`futureField` is not implemented"),
        ("root/dag/tasks/say/artifactIterator", {"itemInput": "x"}, "`artifactIterator` is not implemented"),
        ("root/dag/tasks/say/newField", 1, "task.*say.*`newField` is not implemented"),
        ("root/dag/tasks/say/cachingOptions/cacheKey", "mine", "`cacheKey` is not implemented"),
        (
            "root/dag/tasks/say/triggerPolicy/strategy",
            "ALL_UPSTREAM_TASKS_FAILED",
            "strategy ALL_UPSTREAM_TASKS_FAILED is not implemented",
        ),
        ("root/dag/tasks/condition-1/retryPolicy", {"maxRetryCount": 1}, "retryPolicy on a nested pipeline"),
        (
            "root/dag/tasks/condition-1/triggerPolicy/condition",
            "size(inputs.parameter_values['pipelinechannel--x']) > 1",
            "condition `size.*unexpected size",
        ),
        (
            "root/dag/tasks/condition-1/triggerPolicy/condition",
            "inputs.parameter_values['other'] == 'a'",
            "condition reads unknown input 'other'",
        ),
        (
            "root/dag/tasks/say/inputs/parameters/text",
            {"componentInputParameter": "x", "parameterExpressionSelector": "parseJson(string_value)[0]"},
            "parameterExpressionSelector",
        ),
        (
            "root/dag/tasks/say/inputs/parameters/text",
            {"runtimeValue": {"constant": "{{$.workspace_path}}"}},
            r"placeholder \{\{\$.workspace_path\}\} is not implemented",
        ),
        (
            "root/dag/tasks/say/inputs/parameters/text",
            {"runtimeValue": {"runtimeParameter": "x"}},
            "`constant` is missing",
        ),
        (
            "root/dag/tasks/say/inputs/parameters/text",
            {"taskOutputParameter": {"producerTask": "gone", "outputParameterKey": "said"}},
            "depends on unknown task 'gone'",
        ),
        ("root/dag/tasks/say/inputs/parameters", {}, "required input 'text' is not set"),
        ("root/dag/tasks/say/componentRef/name", "comp-gone", "unknown component 'comp-gone'"),
        ("root/dag/tasks/say/dependentTasks", ["say"], "tasks depend on each other: say -> say"),
        ("components/comp-say/taskConfigPassthroughs", [], "`taskConfigPassthroughs` is not implemented"),
        ("components/comp-say/executorLabel", "exec-gone", "no executor 'exec-gone'"),
        (
            "components/comp-say/inputDefinitions/parameters/text/parameterType",
            "TASK_CONFIG",
            "parameterType TASK_CONFIG is not implemented",
        ),
        ("components/comp-write/outputDefinitions/artifacts/file/isArtifactList", True, "list of artifacts"),
        ("deploymentSpec/executors/exec-say", {"resolver": {}}, "`resolver` is not implemented"),
        ("deploymentSpec/executors/exec-say", {"customJob": {}}, "`customJob` is not implemented"),
        (
            "deploymentSpec/executors/exec-say",
            {"importer": {"artifactUri": {"constant": "x"}, "typeSchema": {}, "downloadToWorkspace": True}},
            "`downloadToWorkspace` is not implemented",
        ),
        ("deploymentSpec/executors/exec-say/container/lifecycle", {}, "`lifecycle` is not implemented"),
        (
            "deploymentSpec/executors/exec-say/container/args",
            ["{{$.inputs.parameters['other']}}"],
            "names nothing of this component",
        ),
        (
            "deploymentSpec/executors/exec-say/container/args",
            ['{"IfPresent": {"InputName": "text", "Then": {"Reverse": []}}}'],
            "command-line placeholder Reverse is not implemented",
        ),
        (
            "deploymentSpec/executors/exec-say/container",
            {"image": "x"},
            "a container without command .* is not implemented",
        ),
    ],
)
def test_ir_when_it_holds_an_unknown_construct_is_refused_by_its_name(
    path: str, value: Any, message: str, document: dict[str, Any]
) -> None:
    set_in(document, path, value)

    with pytest.raises(UsageError, match=message):
        ir.loads(yaml.safe_dump(document), where="p.yaml")


def test_ir_when_unchanged_is_accepted(document: dict[str, Any]) -> None:
    assert ir.loads(yaml.safe_dump(document), where="p.yaml").name == "plain"


@dsl.pipeline
def with_kubernetes_settings():
    kubernetes.add_node_selector(say(text="x"), "pool", "cpu")


@dsl.pipeline
def loop_item_in_nested_text():
    with dsl.ParallelFor(["1", "2"]) as outer, dsl.ParallelFor(["a", "b"]) as inner:
        join(a=outer, b=f"<{inner}>")


@dsl.pipeline
def quote_in_condition(x: str):
    with dsl.If(x == "it's"):
        say(text=x)


@dsl.pipeline
def types_in_condition(x: str, n: int):
    with dsl.If(n == x):
        say(text=x)


@dsl.component(base_image=IMAGE)
def wants_task_config(config: dsl.TaskConfig):
    print(config)


@dsl.pipeline
def task_configuration():
    wants_task_config()


@dsl.pipeline
def failing():
    fail()


@dsl.pipeline
def retried_nested_pipeline():
    failing().set_retry(2)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (with_kubernetes_settings, "a second YAML document"),
        (loop_item_in_nested_text, "kfp leaves a loop's item unbound"),
        (quote_in_condition, "condition .* cannot be read at"),
        (types_in_condition, "values of different types are compared"),
        (task_configuration, "parameterType TASK_CONFIG is not implemented"),
        (retried_nested_pipeline, "retryPolicy on a nested pipeline is not implemented"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_pipeline_when_not_executable_here_is_refused_by_its_name(
    pipeline: Any, message: str, load: Callable[[Any], Any]
) -> None:
    with pytest.raises(UsageError, match=message):
        load(pipeline)


def test_refused_pipeline_leaves_no_run_folder(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(quote_in_condition, {"x": "a"})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a compiled pipeline"),
        ("a: 1", "not a compiled pipeline"),
        ("[1, 2", "not valid YAML"),
        (
            "root: 3\nschemaVersion: 2.1.0\npipelineInfo: {name: x}\ndeploymentSpec: {}",
            "expected a mapping, got int",
        ),
        ("root: {}\nschemaVersion: 2.1.0\npipelineInfo: {}", "pipelineInfo: `name` is missing"),
    ],
)
def test_file_when_no_pipeline_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        ir.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_file_when_missing_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.yaml: cannot be read: No such file or directory"):
        ir.load(tmp_path / "gone.yaml")
