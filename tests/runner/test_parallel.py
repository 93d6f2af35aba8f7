"""Which tasks may run at the same time."""

import itertools
from pathlib import Path

from kfp import dsl
from runner_components import IMAGE
from runner_testing import Run, tasks


@dsl.container_component
def meet(folder: str, me: str, other: str):
    """Ends once the other one has been seen running."""
    program = 'touch "$0/$1"; until [ -e "$0/$2" ]; do sleep 0.02; done'
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [folder, me, other])


@dsl.container_component
def alone(folder: str):
    """Fails where another one is running."""
    program = 'mkdir "$0/lock" && sleep 0.2 && rmdir "$0/lock"'
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [folder])


def accelerated(task: dsl.PipelineTask) -> dsl.PipelineTask:
    return task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)


@dsl.pipeline
def two_meet(folder: str):
    meet(folder=folder, me="a", other="b")
    meet(folder=folder, me="b", other="a")


@dsl.pipeline
def accelerated_alone(folder: str):
    for _ in range(3):
        accelerated(alone(folder=folder))


@dsl.pipeline
def accelerated_meets_plain(folder: str):
    accelerated(meet(folder=folder, me="a", other="b"))
    accelerated(alone(folder=folder))
    meet(folder=folder, me="b", other="a")


@dsl.pipeline
def many_alone(folder: str):
    with dsl.ParallelFor(["1", "2", "3"]):
        alone(folder=folder)


def test_independent_tasks_when_there_are_slots_overlap_in_time(run: Run, tmp_path: Path) -> None:
    record = run(two_meet, {"folder": str(tmp_path)}, workers=2, timeout=60)

    assert record.state == "SUCCEEDED"
    first, second = tasks(record).values()
    assert first.started < second.finished
    assert second.started < first.finished


def test_accelerated_tasks_never_overlap(run: Run, tmp_path: Path) -> None:
    record = run(accelerated_alone, {"folder": str(tmp_path)}, workers=4)

    assert record.state == "SUCCEEDED", [task.reason for task in record.tasks]
    spans = sorted((task.started, task.finished) for task in record.tasks)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_plain_task_runs_beside_an_accelerated_one_while_another_waits(run: Run, tmp_path: Path) -> None:
    record = run(accelerated_meets_plain, {"folder": str(tmp_path)}, workers=2, timeout=60)

    assert record.state == "SUCCEEDED", [task.reason for task in record.tasks]


def test_tasks_when_there_is_one_slot_run_one_by_one(run: Run, tmp_path: Path) -> None:
    record = run(many_alone, {"folder": str(tmp_path)}, workers=1)

    assert record.state == "SUCCEEDED", [task.reason for task in record.tasks]
