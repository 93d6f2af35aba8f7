"""The corpus: what Kubeflow's semantics require of every construct."""

from pathlib import Path

import pytest
from runner_corpus import CASES, Case
from runner_testing import Run, tasks


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pipeline_when_run_ends_as_kubeflow_requires(case: Case, run: Run, tmp_path: Path) -> None:
    (tmp_path / "imported.txt").write_text("from outside")

    record = run(case.pipeline, case.given)

    found = tasks(record)
    assert record.state == case.run, [(t.name, t.reason) for t in record.tasks]
    unusual = {name: task.state for name, task in found.items() if task.state != "SUCCEEDED"}
    assert unusual == case.states
    for output, value in case.outputs.items():
        name, _, key = output.rpartition(".")
        assert found[name].output_parameters[key] == value
        assert type(found[name].output_parameters[key]) is type(value)
    for first, second in case.order:
        assert found[first].finished <= found[second].started


def test_corpus_has_at_least_thirty_pipelines() -> None:
    assert len({case.pipeline.name for case in CASES}) >= 30
