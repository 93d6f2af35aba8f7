"""Run folders, and reading them."""

import hashlib
import io
import json
from pathlib import Path

import pytest
import yaml
from kfp import dsl
from rich.console import Console
from runner_components import say, whole
from runner_corpus import run_placeholders
from runner_testing import Run, tasks

from veo_core.errors import UsageError
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.runner import progress, runs
from veo_core.runner import task as task_module


@dsl.pipeline
def two_tasks(n: int = 2) -> int:
    with dsl.ParallelFor(["a", "b"]) as item:
        say(text=item)
    return whole(value=n).outputs["out"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_run_folder_holds_record_pipeline_logs_and_outputs(run: Run, folder: Path) -> None:
    record = run(two_tasks)

    here = folder / record.run_id
    assert RunRecord.model_validate_json((here / "run.json").read_bytes()) == record
    assert yaml.safe_load((here / "pipeline.yaml").read_text())["pipelineInfo"]["name"] == "two-tasks"
    assert (here / "tasks/for-loop-2/0/say/log.txt").read_text() == "a\n"
    assert (here / "tasks/for-loop-2/1/say/outputs/said").read_text() == "b"


def test_record_tells_what_ran_on_what(run: Run) -> None:
    record = run(two_tasks, {"n": 5}, launch={"judge": "world"})

    task = tasks(record)["for-loop-2/0/say"]
    assert record.parameters == {"n": 5}
    assert record.output_parameters == {"Output": 5}
    assert len(record.ir_digest) == 64
    assert record.packages["pydantic"]
    assert record.cpus >= 1
    assert record.memory_bytes > 0
    assert record.target == "embedded"
    assert record.launch == {"judge": "world"}
    module = Path(task_module.__file__)
    assert record.sources["veo_core/runner/task.py"] == hashlib.sha256(module.read_bytes()).hexdigest()
    assert not any("__pycache__" in name for name in record.sources)
    assert task.component == "say"
    assert task.parameters == {"text": "a"}
    assert task.command[:2] == ["sh", "-c"]
    assert task.exit_code == 0
    assert task.peak_rss_bytes is not None
    assert record.created <= task.started <= task.finished <= record.finished


def test_record_of_an_earlier_version_is_still_read(run: Run, folder: Path) -> None:
    record = run(two_tasks)
    path = folder / record.run_id / "run.json"
    old = json.loads(path.read_bytes())
    for name in ("target", "sources", "launch", "cpu", "accelerators"):
        del old[name]
    for task in old["tasks"]:
        for name in ("tries", "cached_from", "code", "env"):
            del task[name]
    path.write_text(json.dumps(old))

    read = runs.load_run(folder, record.run_id)
    assert read.target == "embedded"
    assert read.model_dump(
        exclude={"sources", "launch", "cpu", "accelerators", "tasks"}
    ) == record.model_dump(exclude={"sources", "launch", "cpu", "accelerators", "tasks"})


def test_digest_of_the_pipeline_is_that_of_its_content(run: Run) -> None:
    assert run(two_tasks).ir_digest == run(two_tasks).ir_digest


def test_run_ids_are_unique_and_sort_by_time(run: Run, folder: Path) -> None:
    ids = [run(two_tasks).run_id for _ in range(3)]

    assert ids == sorted(set(ids))
    assert [record.run_id for record in runs.list_runs(folder)] == ids
    assert runs.load_run(folder).run_id == ids[-1]
    assert runs.load_run(folder, ids[0]).run_id == ids[0]


def test_run_when_named_by_the_start_of_its_id_is_found(run: Run, folder: Path) -> None:
    record = run(two_tasks)

    assert runs.load_run(folder, record.run_id[:15]).run_id == record.run_id
    with pytest.raises(UsageError, match="there is no run '1999'; the latest is"):
        runs.load_run(folder, "1999")
    run(two_tasks)
    with pytest.raises(UsageError, match="'20' fits 2 runs"):
        runs.load_run(folder, "20")


def test_runs_when_there_are_none_are_an_empty_list(folder: Path) -> None:
    assert runs.list_runs(folder) == []
    with pytest.raises(UsageError, match="there are no runs"):
        runs.load_run(folder)


def test_log_when_named_by_the_end_of_the_tasks_name_is_found(run: Run, folder: Path) -> None:
    run(two_tasks)

    assert runs.read_log(folder, "latest", "1/say") == "b\n"
    assert runs.read_log(folder, "latest", "1/say", lines=1) == "b"
    with pytest.raises(UsageError, match="'say' fits several tasks: for-loop-2/0/say, for-loop-2/1/say"):
        runs.read_log(folder, "latest", "say")
    with pytest.raises(UsageError, match="has no task 'sya'; it has: "):
        runs.read_log(folder, "latest", "sya")


def test_record_when_damaged_is_one_clear_line(run: Run, folder: Path) -> None:
    record = run(two_tasks)
    (folder / record.run_id / "run.json").write_text('{"run_id": 3}')

    with pytest.raises(UsageError, match=r"run\.json: no run record"):
        runs.load_run(folder)


def test_run_when_the_folder_cannot_be_made_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")

    with pytest.raises(UsageError, match="cannot be written: "):
        run(two_tasks)


def test_placeholders_of_the_run_stand_for_it(run: Run, folder: Path) -> None:
    record = run(run_placeholders)

    said = tasks(record)["describe-itself"].output_parameters["said"]
    assert said["job"] == f"run-placeholders-{record.run_id}"
    assert said["resource"] == f"runs/{said['job']}"
    assert said["task"] == "describe-itself"
    assert said["root"] == str(folder / record.run_id)
    assert said["created"] == said["due"]
    assert len({said["uuid"], said["task_uuid"]}) == 2


def test_pipeline_root_when_given_is_what_its_placeholder_stands_for(run: Run) -> None:
    record = run(run_placeholders, pipeline_root="gs://bucket/root")

    assert tasks(record)["describe-itself"].output_parameters["said"]["root"] == "gs://bucket/root"


def test_record_is_readable_at_every_change(run: Run, folder: Path) -> None:
    seen: list[dict[str, str]] = []

    def observe(record: RunRecord, task: TaskRecord | None) -> None:
        on_disk = json.loads((folder / record.run_id / "run.json").read_text())
        seen.append({entry["name"]: entry["state"] for entry in on_disk["tasks"]})

    run(two_tasks, observe=observe)

    assert seen[0] == {}
    assert {"PENDING", "RUNNING", "SUCCEEDED"} <= {state for states in seen for state in states.values()}


def test_group_when_skipped_has_a_record_and_its_tasks_have_none(run: Run) -> None:
    @dsl.pipeline(name="skipped-group")
    def pipeline(n: int = 0):
        first = whole(value=n)
        with dsl.If(first.outputs["out"] > 1):
            say(text="never")

    record = run(pipeline)

    assert [task.name for task in record.tasks] == ["whole", "condition-1"]
    assert tasks(record)["condition-1"].depends_on == ["whole"]
    assert tasks(record)["condition-1"].reason.startswith("condition is false: int(")


def test_first_tasks_of_a_group_depend_on_what_the_group_does(run: Run) -> None:
    @dsl.pipeline(name="group")
    def pipeline():
        first = whole(value=2)
        with dsl.If(first.outputs["out"] > 1):
            second = say(text="a")
            say(text="b").after(second)

    found = tasks(run(pipeline))

    assert found["condition-1/say"].depends_on == ["whole"]
    assert found["condition-1/say-2"].depends_on == ["condition-1/say"]


def test_live_table_shows_each_task_and_the_last_line_of_a_running_one(tmp_path: Path) -> None:
    log = tmp_path / "r1" / "log.txt"
    log.parent.mkdir()
    log.write_text("step 1\rstep 2\n")
    rows = [
        TaskRecord(name="one", component="c", state="RUNNING", started=1.0, finished=3.5, log="log.txt"),
        TaskRecord(name="two", component="c", state="SKIPPED", reason="one failed"),
    ]
    record = RunRecord(run_id="r1", pipeline="p", state="RUNNING", created=1.0, ir_digest="", tasks=rows)
    output = io.StringIO()
    table = progress.LiveTable(tmp_path, height=10)
    table(record, rows[0])

    Console(file=output, width=80).print(table.render())

    lines = [line.split() for line in output.getvalue().splitlines()]
    assert lines[0] == ["one", "running", "2.5", "s", "step", "2"]
    assert lines[1] == ["two", "skipped", "one", "failed"]


def test_live_table_when_tasks_do_not_fit_shows_those_that_run(tmp_path: Path) -> None:
    rows = [TaskRecord(name=f"task{n}", component="c", state="SUCCEEDED") for n in range(30)]
    rows.append(TaskRecord(name="late", component="c", state="RUNNING", started=1.0))
    record = RunRecord(run_id="r", pipeline="p", state="RUNNING", created=1.0, ir_digest="", tasks=rows)
    output = io.StringIO()
    table = progress.LiveTable(tmp_path, height=10)
    table(record, None)

    Console(file=output, width=80).print(table.render())

    assert output.getvalue().split()[0] == "late"


def test_cache_when_its_folder_cannot_be_made_is_one_clear_line(run: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / ".cache").write_text("a file")

    with pytest.raises(UsageError, match=r"\.cache: cannot be written"):
        run(two_tasks)
