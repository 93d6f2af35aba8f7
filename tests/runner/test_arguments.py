"""Checks of the parameters that a user supplies, and of values at run time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl
from kfp.dsl import Dataset, Input
from runner_components import flag, mapping, read, real, say, say_or_default, sequence, whole
from runner_testing import Run, compile_text, tasks

from veo_core.errors import UsageError
from veo_core.runner import engine, ir
from veo_core.runner.parameters import coerce, from_text, parse_assignments, to_text
from veo_core.runner.spec import ParameterType, Pipeline


@dsl.pipeline
def everything(
    text: str,
    count: int,
    ratio: float = 0.5,
    on: bool = True,
    items: list = [],  # noqa: B006
    facts: dict = {},  # noqa: B006
):
    say(text=text)
    whole(value=count)
    real(value=ratio)
    flag(value=on)
    sequence(value=items)
    mapping(value=facts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "a"}, "parameter 'count' is missing; it is an integer without default"),
        ({"text": "a", "cuont": 1}, "no parameter 'cuont'; did you mean 'count'?"),
        ({"text": "a", "qqq": 1}, "no parameter 'qqq'; it has: count, facts, items, on, ratio, text"),
        ({"text": 3, "count": 1}, "parameter 'text': expected a text, got 3"),
        ({"text": "a", "count": "1"}, "parameter 'count': expected an integer, got \"1\""),
        ({"text": "a", "count": True}, "parameter 'count': expected an integer, got true"),
        ({"text": "a", "count": 1.5}, "parameter 'count': expected an integer, got 1.5"),
        ({"text": "a", "count": 1, "ratio": "x"}, "parameter 'ratio': expected a number"),
        ({"text": "a", "count": 1, "ratio": float("nan")}, "parameter 'ratio': expected a number"),
        ({"text": "a", "count": 1, "on": 1}, "parameter 'on': expected true or false"),
        ({"text": "a", "count": 1, "items": {}}, "parameter 'items': expected a list"),
        ({"text": "a", "count": 1, "facts": []}, "parameter 'facts': expected a mapping"),
    ],
)
def test_arguments_when_wrong_are_refused_in_one_line(
    given: dict[str, Any], message: str, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        run(everything, given)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("*/run.json"))


def test_arguments_from_a_command_line_get_their_declared_types(load: Callable[[Any], Any]) -> None:
    inputs = load(everything).root.parameters
    texts = {
        "text": " 7 ",
        "count": "9007199254740993",
        "ratio": "1e-3",
        "on": "false",
        "items": "[1, null]",
        "facts": '{"a": {"b": 1.5}}',
        "unknown": "x",
    }

    assert parse_assignments(texts, inputs) == {
        "text": " 7 ",
        "count": 9007199254740993,
        "ratio": 0.001,
        "on": False,
        "items": [1, None],
        "facts": {"a": {"b": 1.5}},
        "unknown": "x",
    }


@pytest.mark.parametrize(("name", "text"), [("count", "1.5"), ("on", "yes"), ("items", "{}"), ("facts", "{")])
def test_argument_from_a_command_line_when_of_another_type_is_refused(
    name: str, text: str, load: Callable[[Any], Any]
) -> None:
    with pytest.raises(UsageError, match=f"parameter '{name}': expected"):
        parse_assignments({name: text}, load(everything).root.parameters)


@dsl.pipeline
def chosen(mode: str):
    say_or_default(text=say(text=mode).outputs["said"])


@pytest.fixture
def with_literals(tmp_path: Path) -> Callable[[str], Pipeline]:
    """`chosen`, a parameter of which takes two values only; kfp's own compiler cannot say so yet."""

    def build(place: str) -> Pipeline:
        document = yaml.safe_load(compile_text(chosen, tmp_path))
        component = document["root"] if place == "root" else document["components"][place]
        (parameter,) = component["inputDefinitions"]["parameters"].values()
        parameter["literals"] = ["fast", "slow"]
        return ir.loads(yaml.safe_dump(document), where="p.yaml")

    return build


def test_literal_when_allowed_runs_and_otherwise_is_refused(
    with_literals: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    pipeline = with_literals("root")

    assert engine.run(pipeline, {"mode": "slow"}, runs_dir=tmp_path / "runs").state == "SUCCEEDED"
    with pytest.raises(UsageError, match="parameter 'mode': \"other\" is not one of: fast, slow"):
        engine.run(pipeline, {"mode": "other"}, runs_dir=tmp_path / "runs")


def test_literal_when_an_output_is_not_allowed_fails_the_task(
    with_literals: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    record = engine.run(with_literals("comp-say-or-default"), {"mode": "other"}, runs_dir=tmp_path / "runs")

    assert tasks(record)["say-or-default"].state == "FAILED"
    assert "is not one of: fast, slow" in tasks(record)["say-or-default"].reason


@dsl.pipeline
def reads_input(file: Input[Dataset]):
    read(file=file)


def test_input_artifact_of_a_pipeline_is_given_by_its_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("content")

    record = run(reads_input, {"file": tmp_path / "in.txt"})

    assert tasks(record)["read"].output_parameters == {"text": "content"}


@pytest.mark.parametrize("uri", ["gs://bucket/a//b", "https://example.invalid/a?b=c"])
def test_input_artifact_of_a_pipeline_when_remote_keeps_its_uri(uri: str, run: Run) -> None:
    (task,) = run(reads_input, {"file": uri}).tasks

    assert task.inputs["file"][0].uri == uri
    assert f"is at {uri}, which the embedded runner does not download" in task.reason


@pytest.mark.parametrize(
    ("given", "message"), [({}, "input artifact 'file' is missing"), ({"file": "gone"}, "nothing is at gone")]
)
def test_input_artifact_of_a_pipeline_when_absent_is_refused(
    given: dict[str, Any], message: str, run: Run
) -> None:
    with pytest.raises(UsageError, match=message):
        run(reads_input, given)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1.5e21, "1500000000000000000000"),
        (-3.25, "-3.25"),
        (2**53 + 1, "9007199254740993"),
        (True, "true"),
        ("as it is ", "as it is "),
        ({"b": [1, 2.5, None], "a": "ü"}, '{"a":"ü","b":[1,2.5,null]}'),
    ],
)
def test_value_as_text_is_as_kubeflow_writes_it(value: Any, text: str) -> None:
    assert to_text(value) == text


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" 7\n", ParameterType.NUMBER_INTEGER, 7),
        ("7\n", ParameterType.STRING, "7\n"),
        ("7", ParameterType.NUMBER_DOUBLE, 7.0),
        ("True", ParameterType.BOOLEAN, True),
        ("0", ParameterType.BOOLEAN, False),
        ("[1, 2.0]", ParameterType.LIST, [1, 2.0]),
    ],
)
def test_text_of_an_output_becomes_a_value_of_its_type(text: str, kind: ParameterType, value: Any) -> None:
    found = from_text(text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.0", ParameterType.NUMBER_INTEGER),
        ("inf", ParameterType.NUMBER_DOUBLE),
        ("yes", ParameterType.BOOLEAN),
        ("{}", ParameterType.LIST),
        ("", ParameterType.STRUCT),
    ],
)
def test_text_of_another_type_is_an_error(text: str, kind: ParameterType) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_text(text, kind)


def test_number_where_a_text_is_asked_for_becomes_text() -> None:
    assert coerce(3, ParameterType.STRING) == "3"
