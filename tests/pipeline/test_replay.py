"""`veo replay` of real runs: equal where nothing changed, and the change named where something did."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workplace import CURATION, Workplace

from veo_core.cli.main import main
from veo_core.lineage.difference import RunDifference

ROOT = Path(__file__).parents[2]


def replay(
    place: Workplace, run: str, *arguments: str, code: Path = ROOT
) -> tuple[RunDifference | None, subprocess.CompletedProcess[str]]:
    """The comparison that `veo replay` of the library in `code` comes to."""
    command = [sys.executable, "-m", "veo_core.cli.main", "replay", run, "--json", *arguments]
    places = ["--runs", str(place.folder / "runs"), "--root", str(place.folder / "store")]
    process = subprocess.run(
        [*command, *places], capture_output=True, text=True, cwd=place.folder,
        env=os.environ | {"PYTHONPATH": str(code)},
    )  # fmt: skip
    found = RunDifference.model_validate_json(process.stdout) if process.stdout else None
    return found, process


def first_run(place: Workplace) -> Path:
    return min(path.parent for path in (place.folder / "runs").glob("*/run.json"))


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product with a repository of its own."""
    folder = tmp_path_factory.mktemp("library")
    for package in ("veo_core", "pipelines", "components"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "web"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "as it was")
    return folder


@pytest.mark.thorough
def test_replay_with_another_prompt_is_equal_before_it_and_names_it(finished: Workplace) -> None:
    found, process = replay(
        finished,
        first_run(finished).name,
        "--here",
        "--until",
        "describe",
        "--set",
        "describe.prompt=Say it.",
    )
    assert found is not None, process.stderr
    assert process.returncode == 1
    assert [(stage.task, stage.outcome) for stage in found.stages] == [
        ("collect", "equal"), ("prepare", "equal"), ("describe", "different"),
    ]  # fmt: skip
    assert found.diverging == "describe"
    assert ("parameter", "config.prompt") in [(c.kind, c.name) for c in found.stage("describe").causes]


@pytest.mark.thorough
def test_replay_runs_the_recorded_commit_whatever_the_checkout_holds_now(
    finished: Workplace, library: Path, tmp_path: Path
) -> None:
    place = Workplace(tmp_path)
    shutil.copytree(finished.folder / "store", tmp_path / "store", copy_function=os.link)
    run = tmp_path / "runs" / first_run(finished).name
    shutil.copytree(first_run(finished), run)
    record = json.loads((run / "run.json").read_bytes())
    commit = git(library, "rev-parse", "HEAD")
    (run / "run.json").write_text(json.dumps(record | {"git_sha": commit, "git_dirty": False}))
    (library / "veo_core" / "curate" / "collect.py").write_text(
        "raise SystemExit('this is not the commit')\n"
    )
    try:
        found, process = replay(place, run.name, "--until", "collect", code=library)
    finally:
        git(library, "checkout", "--quiet", "--", ".")
    assert found is not None, process.stderr
    assert (process.returncode, found.equal) == (0, True), process.stderr
    assert found.second.git_sha == commit
    assert git(library, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_replay_that_is_ended_leaves_no_file_and_no_process(
    number: signal.Signals, status: int, finished: Workplace, tmp_path: Path
) -> None:
    mine = Workplace(tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "veo_core.cli.main", "replay", first_run(finished).name, "--here",
            "--runs", str(finished.folder / "runs"), "--root", str(finished.folder / "store"),
        ],
        cwd=finished.folder, env=mine.environment | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list(temporary.glob("veo-replay-*/runs/*/tasks/collect")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    assert not list(temporary.glob("veo-replay-*"))
    assert not mine.processes()


@pytest.mark.thorough
def test_replay_with_a_changed_library_file_names_the_file(finished: Workplace, library: Path) -> None:
    path = library / "veo_core" / "curate" / "collect.py"
    source = path.read_text()
    path.write_text(source.replace("Manifest(", "Manifest(metrics={'changed': 1.0}, ", 1))
    try:
        found, process = replay(
            finished, first_run(finished).name, "--here", "--until", "collect", code=library
        )
    finally:
        path.write_text(source)
    assert found is not None, process.stderr
    assert process.returncode == 1
    assert found.diverging == "collect"
    assert ("code", "veo_core/curate/collect.py") in [(c.kind, c.name) for c in found.stage("collect").causes]


@pytest.mark.thorough
def test_replay_with_an_input_clip_changed_in_place_names_the_clip(
    finished: Workplace, tmp_path: Path
) -> None:
    footage = tmp_path / "footage"
    command = [sys.executable, "-m", "veo_core.cli.main", "world", "make", str(footage), "--clips", "3"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    clips = sorted(footage.rglob("*.mp4"))
    place = f"collect={{world: null, folder: '{footage}'}}"
    arguments = ("--here", "--until", "collect")
    out = ("--out", str(tmp_path / "place"))
    _, process = replay(finished, first_run(finished).name, *arguments, "--set", place, *out)
    assert "changed on demand: collect_config.folder" in process.stderr
    recorded = Workplace(tmp_path / "place")

    shutil.copyfile(clips[1], clips[0])
    found, process = replay(recorded, "latest", *arguments)
    assert found is not None, process.stderr
    assert found.diverging == "collect"
    cause = found.stage("collect").causes[0]
    assert (cause.kind, cause.name) == ("source", clips[0].relative_to(footage).as_posix())


@pytest.mark.slow
def test_replay_of_a_whole_run_is_equal_in_every_stage_of_curation_and_training(finished: Workplace) -> None:
    found, process = replay(finished, first_run(finished).name, "--here")
    assert found is not None, process.stderr
    assert process.returncode == 0, process.stdout
    replayed = {stage.task for stage in found.stages}
    assert {*CURATION, "train-base", "train-video-vae", "generate", "evaluate"} <= replayed
    assert {stage.outcome for stage in found.stages} == {"equal"}
    assert "a replay publishes nothing" in process.stderr


@pytest.fixture
def recorded(finished: Workplace, tmp_path: Path) -> Path:
    """A copy of the record of a run, to alter."""
    run = tmp_path / "runs" / "run-1"
    run.mkdir(parents=True)
    (tmp_path / "store").mkdir()
    for name in ("run.json", "pipeline.yaml"):
        shutil.copy(first_run(finished) / name, run / name)
    return run


def edit(run: Path, **changes: object) -> None:
    record = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps(record | changes))


def refusal(run: Path, *arguments: str) -> int:
    place = run.parents[1]
    return main(
        ["replay", "run-1", *arguments, "--runs", str(place / "runs"), "--root", str(place / "store")]
    )


@pytest.mark.parametrize(
    ("changes", "arguments", "said"),
    [
        ({"git_sha": "0" * 40}, [], "commit 000000000000"),
        ({"git_sha": ""}, [], "names no commit"),
        ({"git_sha": "--help"}, [], "commit --help"),
        ({"target": "kubeflow"}, [], "is of kubeflow"),
        ({"ir_digest": "0" * 64}, [], "was altered"),
        ({}, ["--until", "nothing"], "--until nothing"),
        ({}, ["--until", "condition-6"], "--until condition-6"),
        ({}, ["--set", "describe.promt=x"], "describe.promt"),
    ],
)
def test_replay_that_cannot_be_done_says_why_in_one_line(
    recorded: Path, capsys, changes: dict[str, object], arguments: list[str], said: str
) -> None:
    edit(recorded, **changes)
    assert refusal(recorded, *arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last


def test_replay_says_first_what_makes_an_equal_result_less_certain(recorded: Path, capsys) -> None:
    edit(
        recorded, git_dirty=True, git_sha="0" * 40, python="2.7.18", packages={"numpy": "1.0"},
        state="FAILED", launch={"judge": "external"},
    )  # fmt: skip
    assert refusal(recorded) == 2
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    expected = ("uncommitted", "numpy 1.0", "python 2.7.18", "is failed", "outside server", "/register")
    for said in expected:
        assert any(said in note for note in notes), said
