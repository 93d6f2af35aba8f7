"""The command lines: what a dry run prints, and which input is refused in one line."""

import pytest
from submit_profiles import DIGESTS, KUBEFLOW, REGISTRY, SECRETS, VERTEX

from pipelines.submit import kubeflow, vertex


def test_a_dry_run_prints_what_would_be_sent_where_and_its_cost(submit_vertex, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
    outcome = submit_vertex("--dry-run")
    assert (outcome.code, outcome.err) == (0, ""), outcome
    for expected in (
        "to         Vertex AI, projects/veo-project/locations/us-central1",
        f"veo-curate@{DIGESTS['curate']}",
        f"veo-train-tpu@{DIGESTS['train-tpu']}",
        "training   4 x ct6e-standard-4t (spot), else 2 x a3-highgpu-8g (flex_start)",
        "label      team=video",
        "  seed = 0",
        "48 clips of",
        "dry run: nothing was sent",
    ):
        assert expected in outcome.out, expected


@pytest.mark.thorough
def test_a_profile_s_registry_gets_the_models(submit_vertex, submit_kfp):
    outcome = submit_vertex("--dry-run", "--set=register.registry.alias=approved", model_registry=True)
    for expected in (
        '"kind": "vertex", "project": "veo-project"',
        f'"serving_image": "{REGISTRY}/veo-serve@{DIGESTS["serve"]}"',
        '"alias": "approved"',
    ):
        assert expected in outcome.out, (expected, outcome)
    address = "http://registry.kubeflow:8080"
    outcome = submit_kfp("--dry-run", "--pipeline=pipeline", model_registry=address)
    assert f'"kind": "kubeflow", "endpoint": "{address}"' in outcome.out, outcome


def test_a_dry_run_for_kubeflow_reaches_no_server(submit_kfp, kfp):
    outcome = submit_kfp("--dry-run", endpoint="http://127.0.0.1:9")
    assert outcome.code == 0, outcome
    assert "Kubeflow Pipelines at http://127.0.0.1:9, namespace veo" in outcome.out
    assert "documents  2" in outcome.out
    assert "\npackage " in outcome.out
    assert "train-base" not in outcome.out  # this is curation
    assert not kfp.pipelines


@pytest.mark.parametrize(
    ("main", "profile", "expected"),
    [(vertex, KUBEFLOW, "use `make submit-kfp`"), (kubeflow, VERTEX, "use `make submit`")],
)
def test_a_profile_of_the_other_target_is_refused(write_profile, capsys, main, profile, expected):
    assert main.main(["--profile", str(write_profile(profile)), "--preset", "smoke"]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--preset", "wrold"], "--preset wrold: no such preset"),
        (["--set", "dedupe.enabled=false"], "dedup"),
        (["--set", "executor=ray"], "executor: ray: remote stages take 'pool'"),
        (["--footage", "."], "--footage .: remote machines cannot read it"),
        (["--choice", "7"], "choice 7: pools.accelerator has the choices 0 to 1"),
    ],
)
def test_bad_input_is_told_in_one_line(submit_vertex, arguments, expected):
    outcome = submit_vertex("--dry-run", *arguments)
    assert outcome.code == 2
    assert expected in outcome.error


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (f"annotate.prompt={SECRETS['HF_TOKEN']}", "annotate_config holds the value of HF_TOKEN"),
        ("judge.endpoints=[https://me:secret@judge.example]", "holds a URL with a password"),
    ],
)
def test_a_secret_in_a_parameter_is_refused_and_not_repeated(submit_vertex, monkeypatch, setting, expected):
    monkeypatch.setenv("HF_TOKEN", SECRETS["HF_TOKEN"])
    outcome = submit_vertex("--dry-run", "--set", setting)
    assert outcome.code == 2
    assert expected in outcome.error
    assert SECRETS["HF_TOKEN"] not in outcome.err
    assert "me:secret" not in outcome.err


def test_tags_are_refused(submit_vertex, tmp_path):
    (tmp_path / "tags.lock.json").write_text('{"curate": "us-docker.pkg.dev/p/veo-curate:latest"}')
    outcome = submit_vertex("--dry-run", images="tags.lock.json")
    assert outcome.code == 2
    assert "veo-curate:latest is no digest" in outcome.error
