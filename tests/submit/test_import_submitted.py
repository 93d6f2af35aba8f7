"""A run that was submitted, imported from the platform: the real clients against the services on loopback."""

import json

import pytest
from kfp_server import Look
from pipeline_service import PROJECT, REGION, Snapshot

from veo_core.cli.main import main
from veo_core.records.run import RunRecord
from veo_core.runner.runs import load_run


def imported(capfd, *arguments) -> tuple[int, str, str]:
    code = main(["runs", "import", *arguments])
    told = capfd.readouterr()
    return code, told.out, told.err


def test_a_run_of_kubeflow_is_imported_with_its_parameters_and_code(kfp, submit_kfp, tmp_path, capfd):
    kfp.story = [Look("FAILED", {"root": ("FAILED", ""), "collect": ("FAILED", "exit code 2: no footage")})]
    assert submit_kfp("--seed", "7", "--no-follow").code == 0
    given = ("--from", "kubeflow", "--endpoint", kfp.url, "--run", "run-1", "--runs", str(tmp_path / "runs"))
    code, out, err = imported(capfd, *given)
    assert (code, err) == (0, "")
    record = RunRecord.model_validate_json(
        (tmp_path / "runs" / out.split("/")[-1].strip() / "run.json").read_text()
    )
    assert (record.target, record.state, record.pipeline) == ("kubeflow", "FAILED", "curate-footage")
    assert (record.parameters["seed"], record.launch["platform_run"]) == (7, "run-1")
    assert len(record.git_sha) == 40
    [collect] = record.tasks
    assert (collect.name, collect.state) == ("collect", "FAILED")
    assert collect.reason == "Kubeflow Pipelines: FAILED: exit code 2: no footage"
    assert any("the platform lists no such task" in unknown for unknown in record.unknown)


def test_an_import_needs_the_credentials_of_the_submitter(kfp, submit_kfp, tmp_path, capfd, monkeypatch):
    assert submit_kfp("--no-follow").code == 0
    (tmp_path / "other").write_text("a-token-of-somebody")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "other"))
    code, _, err = imported(capfd, "--from", "kubeflow", "--endpoint", kfp.url, "--run", "run-1")
    assert code == 2
    assert err.startswith(f"error: Kubeflow Pipelines at {kfp.url} refuses the credentials: set KF_PIPELINES")
    assert "a-token-of-somebody" not in err


@pytest.mark.parametrize(
    ("endpoint", "run", "wanted"),
    [("http://127.0.0.1:9", "run-1", "cannot be reached"), ("", "run-9", "404 run run-9 does not exist")],
)
def test_a_run_that_cannot_be_had_is_one_line(kfp, capfd, endpoint, run, wanted):
    code, _, err = imported(capfd, "--from", "kubeflow", "--endpoint", endpoint or kfp.url, "--run", run)
    assert code == 2
    assert wanted in err
    assert err.count("\n") == 1


def test_a_job_of_vertex_is_imported_while_it_runs_and_again_at_its_end(
    google, submit_vertex, tmp_path, capfd
):
    running = Snapshot("RUNNING", {"collect": ("SUCCEEDED", ""), "prepare": ("RUNNING", "")})
    ended = Snapshot("SUCCEEDED", {"collect": ("SUCCEEDED", ""), "prepare": ("SKIPPED", "")})
    google.vertex.stories = [[running, running, ended]]  # the submission looks once, too
    assert submit_vertex("--no-follow").code == 0
    name = next(iter(google.vertex.requests)).pipeline_job_id
    runs = tmp_path / "runs"
    given = ("--from", "vertex", "--project", PROJECT, "--region", REGION, "--run", name, "--runs", str(runs))
    assert imported(capfd, *given)[0] == 0
    record = load_run(runs)
    assert (record.target, record.state) == ("vertex", "RUNNING")
    states = {task.name: task.state for task in record.tasks}
    assert (states["collect"], states["prepare"], states["train-base"]) == ("SUCCEEDED", "RUNNING", "PENDING")
    assert (record.git_sha[:7], json.dumps(record.images).count("sha256:")) != ("", 0)
    assert imported(capfd, *given)[0] == 0
    assert len(list(runs.iterdir())) == 1
    record = load_run(runs)
    assert record.state == "SUCCEEDED"
    [prepare] = [task for task in record.tasks if task.name == "prepare"]
    assert prepare.state == "CACHED"
    assert prepare.reason == "Vertex AI Pipelines: SKIPPED: skipped because of a cache hit"
