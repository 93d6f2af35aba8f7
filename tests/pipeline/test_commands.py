"""The commands around a run: list, logs, report, generate."""

import re
import subprocess
import sys
from pathlib import Path

import av
from workplace import Workplace


def veo(place: Workplace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "veo_core.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=place.environment, cwd=place.folder)


def test_runs_lists_the_run_with_its_state(finished: Workplace) -> None:
    process = veo(finished, "runs")
    assert process.returncode == 0, process.stderr
    assert re.search(rf"{finished.latest.run_id} +succeeded", process.stdout)


def test_logs_prints_what_a_task_wrote(finished: Workplace) -> None:
    first = min(path.parent.name for path in (finished.folder / "runs").glob("*/run.json"))
    assert "steps" in veo(finished, "logs", first, "train-base").stdout


def test_logs_of_an_unknown_task_names_the_tasks(finished: Workplace) -> None:
    process = veo(finished, "logs", "latest", "nothing")
    assert process.returncode == 2
    assert "train-base" in process.stderr


def test_report_is_written_again(finished: Workplace) -> None:
    report = finished.latest_folder / "report.html"
    report.unlink()
    process = veo(finished, "report", "latest", "--root", str(finished.folder / "store"))
    assert process.returncode == 0, process.stderr
    assert report.is_file()


def test_registered_model_is_loaded_again_and_generates_a_clip_with_sound(
    finished: Workplace, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    places = ["--root", str(finished.folder / "store"), "--model", "veo-smoke@latest", "--out", str(clip)]
    process = veo(finished, "generate", "a red circle moving left with a low tone", "--steps", "2", *places)
    assert process.returncode == 0, process.stderr
    with av.open(str(clip)) as container:
        assert len(list(container.decode(video=0))) == 17
        assert container.streams.audio


def test_unknown_model_names_those_that_are_registered(finished: Workplace) -> None:
    process = veo(
        finished, "generate", "a clip", "--root", str(finished.folder / "store"), "--model", "x@latest"
    )
    assert process.returncode == 2
    assert "veo-smoke" in process.stderr
