"""Submitting to Kubeflow Pipelines: the real client against a server of its API's own models."""

import pytest
from kfp_server import TOKEN, Look
from submit_profiles import SECRETS

LAST = "the pipeline succeeded"


def test_a_run_carries_the_recipe_and_its_version_the_ir(kfp, submit_kfp):
    outcome = submit_kfp("--seed", "7")
    assert (outcome.code, outcome.err) == (0, ""), outcome
    [pipeline], [version], [experiment], [run] = (
        list(items.values()) for items in (kfp.pipelines, kfp.versions, kfp.experiments, kfp.runs)
    )
    assert (pipeline.display_name, pipeline.namespace) == ("curate-footage", "veo")
    assert version.pipeline_id == pipeline.pipeline_id
    assert (experiment.display_name, experiment.namespace) == ("films", "veo")
    assert run.experiment_id == experiment.experiment_id
    assert run.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert (run.service_account, run.runtime_config.parameters["seed"]) == ("veo-pipeline", 7)
    assert run.runtime_config.parameters["root"] == "s3://veo-bucket/store"
    assert outcome.out.splitlines()[-1].endswith(LAST)
    assert not [secret for secret in (*SECRETS.values(), TOKEN) if secret in outcome.out]


def test_both_documents_are_uploaded(kfp, submit_kfp):
    assert submit_kfp("--no-follow").code == 0
    [(spec, platform)] = kfp.documents.values()
    assert spec["pipelineInfo"]["name"] == "curate-footage"
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-collect"]["secretAsEnv"][0]["secretName"] == "veo-store"


def test_the_same_ir_is_uploaded_once_and_another_one_as_a_new_version(kfp, submit_kfp):
    for arguments in ([], ["--seed", "1"], ["--no-cache"]):
        assert submit_kfp("--no-follow", *arguments).code == 0
    assert (len(kfp.pipelines), len(kfp.versions), len(kfp.experiments), len(kfp.runs)) == (1, 2, 1, 3)


def test_an_installation_for_one_user_gets_no_namespace(kfp, submit_kfp):
    kfp.multi_user = False
    outcome = submit_kfp()
    assert outcome.code == 0, outcome
    assert not next(iter(kfp.experiments.values())).namespace


def test_a_followed_run_says_each_change_once(kfp, submit_kfp):
    kfp.story = [
        Look("PENDING"),
        Look(
            "RUNNING",
            {"root": ("RUNNING", ""), "collect-driver": ("RUNNING", ""), "collect": ("RUNNING", "")},
        ),
        Look("RUNNING", {"collect": ("SUCCEEDED", ""), "prepare-part": ("RUNNING", "")}),
        Look("SUCCEEDED", {"collect": ("SUCCEEDED", ""), "prepare-part": ("SKIPPED", "")}),
    ]
    lines = [line.partition(" ")[2] for line in submit_kfp().out.splitlines()]
    assert lines[lines.index("run: pending") :] == [
        "run: pending",
        "run: running",
        "collect: running",
        "collect: succeeded",
        "prepare-part: running",
        "run: succeeded",
        "prepare-part: from the cache",
        LAST,
    ]


def test_a_failed_run_names_the_task_and_the_reason(kfp, submit_kfp):
    kfp.story = [Look("FAILED", {"collect": ("SUCCEEDED", ""), "dedup": ("FAILED", "exit code 137")})]
    outcome = submit_kfp()
    assert outcome.code == 1
    assert "dedup: failed: exit code 137" in outcome.out
    assert outcome.out.splitlines()[-1].endswith("the pipeline failed in dedup")


@pytest.mark.parametrize(
    ("start", "code", "message", "attempts", "exit_code", "expected"),
    [
        ("GET /healthz", 503, "upstream connect error", 6, 1, "is not available: 503 upstream connect error"),
        ("POST /runs", 429, "too many requests", 6, 1, "is not available: 429 too many requests"),
        (
            "POST /runs",
            403,
            "cannot create runs in namespace veo",
            1,
            2,
            "refuses the credentials: 403 cannot",
        ),
        ("POST /pipelines/upload_version", 400, "unknown field", 1, 2, "refuses the run: 400 unknown field"),
        ("POST /experiments", 500, "exceeded quota: pods", 6, 1, "is not available: 500 exceeded quota"),
    ],
)
def test_an_error_ends_in_one_line(kfp, submit_kfp, start, code, message, attempts, exit_code, expected):
    kfp.refusals[start] = [(code, message)] * 10
    outcome = submit_kfp()
    assert outcome.code == exit_code
    assert expected in outcome.error
    assert 10 - len(kfp.refusals[start]) == attempts
    assert not kfp.runs


def test_an_illness_that_passes_is_waited_for(kfp, submit_kfp):
    kfp.refusals = {"GET /runs": [(503, "restarting")] * 3, "POST /runs": [(500, "database is locked")]}
    outcome = submit_kfp()
    assert (outcome.code, len(kfp.runs)) == (0, 1), outcome


def test_without_a_token_one_line_says_what_to_set(kfp, submit_kfp, monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH")
    outcome = submit_kfp()
    assert outcome.code == 2
    assert "set KF_PIPELINES_SA_TOKEN_PATH to the file of a token, or KF_PIPELINES_COOKIE" in outcome.error


def test_a_token_file_that_is_not_there_is_named(kfp, submit_kfp, monkeypatch, tmp_path):
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "none"))
    outcome = submit_kfp()
    assert (outcome.code, outcome.error) == (2, f"KF_PIPELINES_SA_TOKEN_PATH: {tmp_path}/none: no such file")


def test_a_cluster_that_is_not_there_is_told_in_one_line(kfp, submit_kfp):
    outcome = submit_kfp(endpoint="http://127.0.0.1:9")
    assert outcome.code == 1
    assert "Kubeflow Pipelines at http://127.0.0.1:9 cannot be reached" in outcome.error
