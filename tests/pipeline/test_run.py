"""`veo run` on the smoke preset: results, caching, kills, bad input."""

import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from workplace import CURATION, Workplace

from veo_core.records.generated import GeneratedClip
from veo_core.records.ledger import Decision

ROOT = Path(__file__).parents[2]


def changed(place: Workplace) -> set[str]:
    """The stages that the latest run executed."""
    return {name for name, task in place.tasks().items() if task.state == "SUCCEEDED"}


def test_run_succeeds_and_registers_a_model(finished: Workplace) -> None:
    assert finished.latest.state == "SUCCEEDED"
    assert finished.tasks()["register"].state in {"SUCCEEDED", "CACHED"}
    assert finished.tasks()["register"].output_parameters["model"].startswith("veo-smoke@")
    assert (finished.latest_folder / "report.html").stat().st_size > 10_000


def test_generated_clips_play_with_sound(finished: Workplace, tmp_path: Path) -> None:
    clips = finished.store.get_table(finished.manifest("generate").tables["generated"], GeneratedClip)
    assert len(clips) >= 16
    for clip in clips:
        with av.open(str(finished.store.local_path(clip.media, tmp_path))) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert len(pictures) == 17
        with av.open(str(finished.store.local_path(clip.media, tmp_path))) as container:
            samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
            rate = container.streams.audio[0].codec_context.sample_rate
            assert abs(samples.shape[1] / rate - 17 / 8) < 0.3


def test_every_curation_stage_reconciles_and_accounts_for_each_item(finished: Workplace) -> None:
    received = None
    for stage in CURATION:
        manifest = finished.manifest(stage)
        counts = manifest.counts
        assert counts is not None
        decisions = finished.store.get_table(manifest.tables["ledger"], Decision)
        assert len(decisions) == counts.received + counts.added
        assert len({decision.item for decision in decisions}) == len(decisions)
        if received is not None:
            assert counts.received == received
        received = counts.kept


def views(place: Workplace) -> dict[str, dict[str, str]]:
    """The digest of each file beside the manifest, by stage and name."""
    return {
        stage: {name: group[0].sha256 for name, group in task.outputs.items() if name != "manifest"}
        for stage, task in place.tasks().items()
    }


def test_second_run_is_all_cache_hits(finished: Workplace) -> None:
    shown = views(finished)
    process = finished.run()
    assert process.returncode == 0, process.stderr
    assert {task.state for task in finished.latest.tasks} == {"CACHED"}
    assert views(finished) == shown


def test_every_stage_shows_its_figures_and_those_that_people_look_at_a_page(finished: Workplace) -> None:
    tasks = finished.tasks()
    assert all(task.outputs["metrics"][0].sha256 for task in tasks.values())
    for stage in ("package", "train-base", "evaluate", "safety-evaluation"):
        (page,) = tasks[stage].outputs["html"]
        assert page.metadata["manifest_digest"] == finished.manifest(stage).digest
        assert 10_000 < Path(page.uri).stat().st_size < 4_000_000
    for task in tasks.values():
        for group in task.outputs.values():
            assert "problem" not in group[0].metadata, task.name
    (matrix,) = tasks["safety-evaluation"].outputs["filter_confusion"]
    rows = matrix.metadata["confusionMatrix"]["rows"]
    assert sum(sum(row["row"]) for row in rows) > 100


@pytest.mark.slow
def test_changed_caption_prompt_reruns_describe_and_only_what_depends_on_its_output(
    finished: Workplace,
) -> None:
    setting = "describe.prompt=Say in one sentence which things these pictures show, and where they are."
    process = finished.run("--set", setting)
    assert process.returncode == 0, process.stderr
    executed = changed(finished)
    assert "describe" in executed
    assert not executed & {"collect", "prepare"}


@pytest.mark.thorough
def test_touched_library_file_invalidates_only_the_stages_that_import_it(
    finished: Workplace, tmp_path: Path
) -> None:
    for package in ("veo_core", "pipelines", "components"):
        shutil.copytree(ROOT / package, tmp_path / package)
    copy = Workplace(finished.folder, library=tmp_path)
    assert copy.run().returncode == 0
    assert changed(copy) == set()
    with (tmp_path / "veo_core" / "curate" / "dedup.py").open("a") as stream:
        stream.write("\n# touched\n")
    assert copy.run().returncode == 0
    assert changed(copy) == {"dedup"}


@pytest.mark.parametrize(
    ("subcommand", "sent", "times"),
    [
        pytest.param(
            "curate", signal.SIGKILL, 3, id="curation-SIGKILL-three-times", marks=pytest.mark.thorough
        ),
        pytest.param("run", signal.SIGKILL, 10, id="SIGKILL-ten-times", marks=pytest.mark.slow),
        pytest.param("run", signal.SIGINT, 10, id="ctrl-c-ten-times", marks=pytest.mark.slow),
    ],
)
def test_run_killed_at_random_moments_continues_and_leaves_no_process(
    finished: Workplace, tmp_path: Path, subcommand: str, sent: signal.Signals, times: int
) -> None:
    place = Workplace(tmp_path, subcommand=subcommand)
    moments = random.Random(sent.value)
    for _ in range(times):
        process = subprocess.Popen(
            place.command(), env=place.environment, cwd=place.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            process.wait(timeout=moments.uniform(1.0, 12.0))
        except subprocess.TimeoutExpired:
            process.send_signal(sent)
        process.wait(timeout=60)
        assert gone(place), "processes were left behind"
    last = place.run()
    assert last.returncode == 0, last.stderr[-4000:]
    assert place.curation_digests() == finished.curation_digests()


def gone(place: Workplace, seconds: float = 20.0) -> bool:
    """Whether every process of the place ends within a bound."""
    deadline = time.monotonic() + seconds
    while place.processes():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def one_line(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    (line,) = process.stderr.strip().splitlines()
    return line


def test_unknown_configuration_key_is_one_line_that_names_the_nearest(
    new_place: Callable[[], Workplace],
) -> None:
    place = new_place()
    (place.folder / "recipe.yaml").write_text("train_base: {stepz: 3}\n")
    line = one_line(place.run("--config", "recipe.yaml"))
    assert "recipe.yaml" in line
    assert "'train_base.stepz'" in line
    assert "'steps'" in line


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--preset", "huge"], "smoke"),
        (["--footage", "nowhere"], "nowhere"),
        (["--root", "/proc/store"], "/proc/store"),
        (["--runs", "/proc/runs"], "/proc/runs"),
        (["--set", "train_base"], "SECTION.KEY=VALUE"),
        (["--set", "train_base.steps=many"], "train_base.steps"),
        (["--no-such-flag"], "--no-such-flag"),
        (["--executor", "docker", "--images", "missing.lock.json"], "missing.lock.json"),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(new_place: Callable[[], Workplace], arguments: list[str], names: str) -> None:
    assert names in one_line(new_place().run(*arguments))


def test_footage_folder_with_no_video_is_one_line(new_place: Callable[[], Workplace]) -> None:
    place = new_place()
    (place.folder / "footage").mkdir()
    (place.folder / "footage" / "notes.txt").write_text("no film here")
    line = one_line(place.run("--footage", "footage"))
    assert "no video" in line


def test_port_in_use_is_one_line(new_place: Callable[[], Workplace]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = new_place()
        line = one_line(place.run("--judge-port", str(taken.getsockname()[1])))
        assert "in use" in line
