"""The same pipelines of lightweight components on this engine and on kfp.local.

Each row states what Kubeflow's semantics require. Where kfp.local is wrong the row says how and where that
is known upstream, and the test holds that it is still wrong, so that the list shrinks when kfp is mended.
"""
# ruff: noqa: UP045 - kfp reads Optional only

import builtins
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from kfp import dsl, local
from kfp.dsl import Dataset, Input, Output
from kfp.local.config import LocalExecutionConfig
from runner_components import say
from runner_testing import Run

component = dsl.component(base_image="python:3.11", install_kfp_package=False)


@component
def text(value: str) -> str:
    return value


@component
def note(folder: str, word: str):
    """Leaves a file, so that it can be seen whether the task ran."""
    import pathlib

    pathlib.Path(folder, word).touch()


@component
def total(values: list[int]) -> int:
    return sum(values)


@component
def count(values: list) -> int:
    return len(values)


@component
def named() -> NamedTuple("Named", [("items", list), ("number", int)]):
    from typing import NamedTuple

    return NamedTuple("Named", [("items", list), ("number", int)])(["p", "q"], 5)


@component
def number(value: int) -> int:
    return value


@component
def optional_number(value: Optional[int] = None) -> str:
    return f"got {value}"


@component
def optional_text(value: Optional[str] = None) -> str:
    return f"got {value}"


@component
def write(value: str, file: Output[Dataset], length: int = 0):
    file.metadata["length"] = length or "unknown"
    with open(file.path, "w") as stream:
        stream.write(value)


@component
def read(file: Input[Dataset]) -> str:
    with open(file.path) as stream:
        return f"{stream.read()}, length {file.metadata['length']}"


@component
def read_all(files: Input[list[Dataset]]) -> str:
    return ",".join(open(file.path).read() for file in files)


@dsl.pipeline
def data_and_metadata(word: str) -> str:
    return read(file=write(value=f"<{word}>").outputs["file"]).output


@dsl.pipeline
def whole_number_in_metadata() -> str:
    return read(file=write(value="abc", length=3).outputs["file"]).output


@dsl.pipeline
def if_else_one_of(n: int) -> str:
    with dsl.If(n > 1):
        many = text(value="many")
    with dsl.Else():
        few = text(value="few")
    return dsl.OneOf(many.output, few.output)


@dsl.pipeline
def collected_texts() -> list[str]:
    with dsl.ParallelFor(["a", "b"]) as item:
        told = text(value=f"#{item}")
    return dsl.Collected(told.output)


@dsl.pipeline
def collected_files() -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        written = write(value=item)
    return read_all(files=dsl.Collected(written.outputs["file"])).output


@dsl.pipeline
def shout(word: str) -> str:
    return text(value=f"{word}!").output


@dsl.pipeline
def nested(word: str) -> str:
    return shout(word=word).output


@dsl.pipeline
def optional_text_unset() -> str:
    return optional_text().output


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def note_status(folder: str, status: dsl.PipelineTaskFinalStatus):
    import pathlib

    pathlib.Path(folder, f"{status.state} {status.pipeline_task_name}").touch()


@component
def broken():
    raise RuntimeError("broken")


@dsl.pipeline
def exit_handler(folder: str):
    with dsl.ExitHandler(note_status(folder=folder)):
        broken()


@dsl.pipeline
def if_on_named_output(folder: str):
    with dsl.If(named().outputs["number"] > 1):
        note(folder=folder, word="ran")


@dsl.pipeline
def upstream_in_static_loop() -> list[str]:
    upstream = text(value="UP")
    with dsl.ParallelFor(["1", "2"]) as item:
        told = text(value=f"{item}/{upstream.output}")
    return dsl.Collected(told.output)


@dsl.pipeline
def loop_over_named_output() -> list[str]:
    with dsl.ParallelFor(named().outputs["items"]) as item:
        told = text(value=item)
    return dsl.Collected(told.output)


@dsl.pipeline
def loop_over_nothing(items: list) -> int:
    with dsl.ParallelFor(items) as item:
        told = text(value=item)
    return count(values=dsl.Collected(told.output)).output


@dsl.pipeline
def collected_numbers() -> int:
    with dsl.ParallelFor([1, 2, 3]) as item:
        passed = number(value=item)
    return total(values=dsl.Collected(passed.output)).output


@dsl.pipeline
def large_number() -> int:
    with dsl.ParallelFor([2**53 + 1]) as item:
        passed = number(value=item)
    return total(values=dsl.Collected(passed.output)).output


@dsl.pipeline
def one_of_files(n: int) -> str:
    with dsl.If(n > 1):
        many = write(value="many")
    with dsl.Else():
        few = write(value="few")
    return read(file=dsl.OneOf(many.outputs["file"], few.outputs["file"])).output


@dsl.pipeline
def optional_number_unset() -> str:
    return optional_number().output


@dsl.pipeline
def job_resource_name(folder: str):
    told = text(value=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER)
    note(folder=folder, word="ran").after(told)


@dsl.pipeline
def quote_in_value(word: str) -> str:
    with dsl.If(word == "plain"):
        plain = text(value="plain")
    with dsl.Else():
        other = text(value="other")
    return dsl.OneOf(plain.output, other.output)


@dsl.pipeline
def container_component() -> str:
    return say(text="hello").outputs["said"]


@dataclass(frozen=True)
class Row:
    """A pipeline and what is required of it.

    Attributes:
        notes: names of the files that it leaves in the folder that it is given.
        upstream: how kfp.local is wrong and where that is known; "" where it is right.
    """

    pipeline: Any
    given: dict[str, Any] = field(default_factory=dict)
    output: Any = None
    notes: tuple[str, ...] = ()
    upstream: str = ""


ROWS = [
    Row(data_and_metadata, {"word": "x"}, output="<x>, length unknown"),
    Row(if_else_one_of, {"n": 2}, output="many"),
    Row(collected_texts, output=["#a", "#b"]),
    Row(collected_files, output="a,b"),
    Row(nested, {"word": "w"}, output="w!"),
    Row(optional_text_unset, output="got None"),
    Row(exit_handler, notes=("FAILED exit-handler-1",)),
    Row(
        if_on_named_output,
        notes=("ran",),
        upstream="the branch is skipped and the pipeline succeeds: it resolves only `-Output`; "
        "PR 13313, epic 11793",
    ),
    Row(
        upstream_in_static_loop,
        output=["1/UP", "2/UP"],
        upstream="upstream parameters inside a loop become the loop item; epic 11793",
    ),
    Row(loop_over_named_output, output=["p", "q"], upstream="ValueError: parent input not found; epic 11793"),
    Row(
        loop_over_nothing,
        {"items": []},
        output=0,
        upstream="ValueError: task 'for-loop-1' not found; epic 11793",
    ),
    Row(collected_numbers, output=6, upstream="integers arrive as floats; epic 11793"),
    Row(
        whole_number_in_metadata,
        output="abc, length 3",
        upstream="numbers in metadata pass through a double; epic 11793",
    ),
    Row(large_number, output=2**53 + 1, upstream="integers pass through a double; epic 11793"),
    Row(
        one_of_files,
        {"n": 2},
        output="many, length unknown",
        upstream="ValueError: expected 1 artifact; epic 11793",
    ),
    Row(optional_number_unset, output="got None", upstream="TypeError: int() of None; epic 11793"),
    Row(job_resource_name, notes=("ran",), upstream="IndexError in its placeholders; epic 11793"),
    Row(quote_in_value, {"word": "it's"}, output="other", upstream="evaluated as Python text; PR 13313"),
    Row(container_component, output="hello", upstream="its subprocess runner refuses them; epic 11793"),
]


@pytest.fixture
def kfp_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """kfp.local for one test; it is global, and would run every later call of a pipeline.

    Its loops, run in threads, also leave `print` replaced by one that indents.
    """
    monkeypatch.setattr(builtins, "print", builtins.print)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(tmp_path / "local"),
            workspace_root=str(tmp_path / "workspace"),
        )
        yield
    LocalExecutionConfig.instance = None


def given_to(row: Row, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    takes_folder = "folder" in row.pipeline.pipeline_spec.root.input_definitions.parameters
    return {**row.given, "folder": str(folder)} if takes_folder else row.given


def seen_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pipeline.name)
def test_this_engine_gives_what_kubeflow_requires(row: Row, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    record = run(row.pipeline, given_to(row, folder))

    assert record.output_parameters.get("Output") == row.output, [task.reason for task in record.tasks]
    assert type(record.output_parameters.get("Output")) is type(row.output)
    assert seen_in(folder) == row.notes


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pipeline.name)
def test_kfp_local_gives_the_same_or_is_wrong_as_listed(row: Row, kfp_local: None, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    given = given_to(row, folder)
    output: Any = None
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            output = row.pipeline(**given).outputs.get("Output")
        except Exception as error:
            output = error
    logging.disable(logging.NOTSET)
    if row.pipeline.name == "exit-handler":
        output = None  # it raises once the exit task has run
    right = output == row.output and type(output) is type(row.output) and seen_in(folder) == row.notes

    if row.upstream:
        assert not right, f"kfp.local is right now, take it off the list: {row.upstream}"
    else:
        assert right, (output, seen_in(folder))
