"""Failing tasks: retries, exit tasks, and what a user is told."""

import subprocess
import sys
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import OutputPath
from runner_components import IMAGE, fail, report_status, say, succeed_at
from runner_testing import Run, compile_text, states, tasks

from veo_core.runner import progress, runs


@dsl.pipeline
def retried(folder: str):
    told = succeed_at(attempt=3, folder=folder).set_retry(
        num_retries=3, backoff_duration="0s", backoff_max_duration="1s"
    )
    say(text=told.outputs["said"])


@dsl.pipeline
def retried_in_vain(folder: str):
    succeed_at(attempt=9, folder=folder).set_retry(num_retries=2)


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A folder that gets a file for each attempt."""
    folder = tmp_path / "attempts"
    folder.mkdir()
    return folder


def test_task_when_it_fails_is_retried_until_it_succeeds(run: Run, counted: Path, tmp_path: Path) -> None:
    record = run(retried, {"folder": str(counted)})

    task = tasks(record)["succeed-at"]
    assert (task.state, task.attempts, task.exit_code) == ("SUCCEEDED", 3, 0)
    assert [attempt.exit_code for attempt in task.tries] == [1, 1, 0]
    times = [time for attempt in task.tries for time in (attempt.started, attempt.finished)]
    assert times == sorted(times)
    assert (task.started, task.finished) == (times[0], times[-1])
    assert all(attempt.cpu_seconds is not None for attempt in task.tries)
    assert tasks(record)["say"].output_parameters == {"said": "3"}
    assert "--- attempt 3 ---" in runs.read_log(tmp_path / "runs", "latest", "succeed-at")


def test_task_when_retries_are_spent_fails(run: Run, counted: Path) -> None:
    record = run(retried_in_vain, {"folder": str(counted)})

    (task,) = record.tasks
    assert (task.state, task.attempts, task.exit_code) == ("FAILED", 3, 1)
    assert len(list(counted.iterdir())) == 3


@dsl.container_component
def leave_output_then_fail(folder: str, said: OutputPath(str)):
    """The first attempt writes its output and fails, the second one succeeds without writing."""
    program = 'if [ -e "$0/seen" ]; then exit 0; fi; touch "$0/seen"; printf stale > "$1"; exit 1'
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [folder, said])


@dsl.pipeline
def stale_output(folder: str):
    leave_output_then_fail(folder=folder).set_retry(num_retries=1)


def test_attempt_never_sees_the_outputs_of_an_earlier_one(run: Run, counted: Path) -> None:
    (task,) = run(stale_output, {"folder": str(counted)}).tasks

    assert task.state == "FAILED"
    assert task.reason == "it did not write output parameter 'said'"


@dsl.pipeline
def with_exit_task():
    with dsl.ExitHandler(report_status(), name="all of it"):
        fail()


@dsl.pipeline
def with_exit_task_after_success():
    with dsl.ExitHandler(report_status()):
        say(text="fine")


def test_exit_task_is_told_how_the_pipeline_ended(run: Run) -> None:
    failed = tasks(run(with_exit_task))["report-status"].output_parameters["said"]
    succeeded = tasks(run(with_exit_task_after_success))["report-status"].output_parameters["said"]

    assert failed["state"] == "FAILED"
    assert failed["pipelineTaskName"] == "exit-handler-1"
    assert failed["error"]["message"] == "task exit-handler-1/fail: exit code 3: all is lost"
    assert succeeded["state"] == "SUCCEEDED"
    assert "error" not in succeeded


@dsl.container_component
def bad_usage():
    program = "echo working; echo 'error: clips.yaml: unknown key: mend it so'; exit 2"
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program])


@dsl.pipeline
def one_bad_usage():
    bad_usage()
    say(text="unharmed")


def test_task_when_it_exits_with_two_has_its_message_as_reason(run: Run, tmp_path: Path) -> None:
    record = run(one_bad_usage)

    assert states(record) == {"bad-usage": "FAILED", "say": "SUCCEEDED"}
    assert tasks(record)["bad-usage"].reason == "exit code 2: error: clips.yaml: unknown key: mend it so"
    assert runs.exit_code(record) == 1
    shown = progress.failures(record, tmp_path / "runs")
    assert "bad-usage failed" in shown
    assert "  | working\n" in shown
    assert "say" not in shown


def test_command_line_shows_plain_lines_in_a_log_and_exits_with_one(tmp_path: Path) -> None:
    ir_file = tmp_path / "ir.yaml"
    ir_file.write_text(compile_text(one_bad_usage, tmp_path))
    main = Path(__file__).with_name("run_compiled.py")

    result = subprocess.run(
        [sys.executable, str(main), str(ir_file), str(tmp_path / "runs")], capture_output=True, text=True
    )

    assert result.returncode == 1
    lines = [line.split(" ", 1)[1] for line in result.stderr.splitlines()]
    assert "bad-usage: started" in lines
    assert "bad-usage: failed (exit code 2: error: clips.yaml: unknown key: mend it so)" in lines
    assert lines[-1].endswith("failed")
    assert any(line.startswith("say: done in ") for line in lines)


@dsl.container_component
def use_without_if_present(value: str = None):  # noqa: RUF013 - kfp's way to say that it is optional
    return dsl.ContainerSpec(IMAGE, ["echo"], [value])


@dsl.pipeline
def unset_optional():
    use_without_if_present()


def test_optional_input_when_unset_and_used_bare_fails_and_says_so(run: Run) -> None:
    (task,) = run(unset_optional).tasks

    assert task.state == "FAILED"
    assert "'value' was not given" in task.reason
    assert task.attempts == 0


@dsl.container_component
def malformed_executor_output(said: OutputPath(str)):
    output = dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'echo "{" > "$0"; printf x > "$1"'], [output, said])


@dsl.pipeline
def one_malformed():
    malformed_executor_output()


def test_executor_output_when_malformed_fails_the_task(run: Run) -> None:
    (task,) = run(one_malformed).tasks

    assert task.state == "FAILED"
    assert "executor output is malformed" in task.reason
