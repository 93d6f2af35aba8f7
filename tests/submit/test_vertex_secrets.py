"""Secrets reach the stages of Vertex AI by name: through the profile, the job, and Secret Manager."""

import json
import subprocess
import sys

import pytest
from pipeline_service import PROJECT

PROFILE = {"OPENAI_API_KEY": "judge", "VEO_WATERMARK_KEY": f"projects/{PROJECT}/secrets/mark/versions/3"}
JUDGE, MARK = (f"projects/{PROJECT}/secrets/{name}" for name in ("judge/versions/latest", "mark/versions/3"))
SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


@pytest.fixture
def stored(google):
    google.rest.secrets |= {JUDGE: b"key-of-the-judge\n", MARK: "marks \u00e9".encode()}
    return google.rest


def launched(folder, *flags: str) -> subprocess.CompletedProcess[str]:
    """A module that shows its arguments and environment, started by the launcher."""
    (folder / "shown.py").write_text(SHOW)
    command = [sys.executable, "-m", "veo_core.launch.secrets", *flags, "shown", "--flag", "value"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_every_stage_of_the_job_reads_them_and_the_job_holds_names_alone(google, stored, submit_vertex):
    outcome = submit_vertex("--no-follow", "--pipeline=pipeline", secrets=PROFILE)
    assert outcome.code == 0, outcome
    (request,) = google.vertex.requests
    ir = type(request).to_dict(request)["pipeline_job"]["pipeline_spec"]
    flags = [f"--secret=OPENAI_API_KEY={JUDGE}", f"--secret=VEO_WATERMARK_KEY={MARK}"]
    stages = [
        component["inputDefinitions"]["parameters"]["worker_pool_specs"]["defaultValue"]
        for component in ir["components"].values()
        if "worker_pool_specs" in component.get("inputDefinitions", {}).get("parameters", {})
    ]
    assert len(stages) > 10
    for pools in stages:
        for pool in pools:
            assert pool["container_spec"]["command"][2:5] == ["veo_core.launch.secrets", *flags]
    assert "key-of-the-judge" not in json.dumps(ir)


def test_launcher_becomes_the_module_with_the_values_in_its_environment(stored, tmp_path):
    stored.busy = 2
    done = launched(tmp_path, f"--secret=OPENAI_API_KEY={JUDGE}", f"--secret=VEO_WATERMARK_KEY={MARK}")
    assert done.returncode == 0, done.stderr
    arguments, environment = json.loads(done.stdout)
    assert arguments == ["--flag", "value"]
    assert environment["OPENAI_API_KEY"] == "key-of-the-judge"
    assert environment["VEO_WATERMARK_KEY"] == "marks \u00e9"


@pytest.mark.parametrize(
    ("spoil", "flag", "expected"),
    [
        (lambda rest: rest.secrets.clear(), f"A={JUDGE}", f"secret {JUDGE} does not exist"),
        (
            lambda rest: rest.denied.add("secretmanager.versions.access"),
            f"A={JUDGE}",
            "may not be read by this account: grant it roles/secretmanager.secretAccessor",
        ),
        (lambda rest: rest.secrets.update({JUDGE: b"\xff"}), f"A={JUDGE}", f"secret {JUDGE}: not text"),
        (lambda rest: None, "A=judge", "--secret A: give it as VARIABLE=projects/PROJECT/secrets/NAME"),
    ],
)
def test_what_is_missing_is_one_line_and_starts_nothing(stored, tmp_path, spoil, flag, expected):
    spoil(stored)
    done = launched(tmp_path, f"--secret={flag}")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert expected in line
    assert "key-of-the-judge" not in line


def test_a_secret_that_arrives_damaged_is_one_line_and_can_be_asked_for_again(stored, tmp_path):
    stored.damaged = True
    done = launched(tmp_path, f"--secret=A={JUDGE}")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"secret {JUDGE} arrived damaged" in line


def test_a_secret_manager_that_stays_away_is_one_line(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    done = launched(tmp_path, f"--secret=A={JUDGE}")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "secrets",
    [{"key": "judge"}, {"KEY": "a/b"}, {"KEY": "projects/p/secrets/judge/versions/newest"}, {"KEY": ""}],
)
def test_names_that_cannot_be_are_refused_with_the_profile(submit_vertex, secrets):
    outcome = submit_vertex("--dry-run", secrets=secrets)
    assert outcome.code == 2
    assert "secrets" in outcome.error
