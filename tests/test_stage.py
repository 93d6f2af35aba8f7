"""The command line that every stage shares, on a small stage of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from veo_core.records.manifest import Manifest

STAGE = '''
"""Square numbers."""

import os
from collections.abc import Sequence

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.manifest import Manifest
from veo_core.publish import Result, View
from veo_core.stage import Context, stage_main
from veo_core.storage import Store


class SquareConfig(Record):
    upto: int = Field(default=8, ge=0, description="how many numbers to square")
    log: str = Field(default="", description="file that gets a line for each number squared")
    die_at: int = Field(default=-1, description="number at which the process dies")
    die_again: bool = Field(default=False, description="at every try, not at the first only")


class Square(Record):
    number: int
    square: int


class Work:
    def __init__(self, config: SquareConfig) -> None:
        self.config = config

    def __call__(self, numbers: Sequence[int]) -> list[Square]:
        if 99 in numbers:
            raise UsageError("ninety-nine is too many")
        for number in numbers:
            if number == self.config.die_at:
                if os.path.exists(self.config.log + ".alive") and not self.config.die_again:
                    continue
                with open(self.config.log + ".alive", "a") as stream:
                    stream.write("died\\n")
                os.kill(os.getpid(), 9)
            if self.config.log:
                with open(self.config.log, "a") as stream:
                    stream.write(f"{number}\\n")
        return [Square(number=number, square=number * number) for number in numbers]


def run(*, numbers: Manifest | None = None, config: SquareConfig, context: Context) -> Manifest | Result:
    if config.upto == 13:
        raise RuntimeError("thirteen")
    rows = context.map_shards(
        range(config.upto), Work(config), identity=str, result=Square, shard_size=2
    )
    rows = sorted(rows, key=lambda row: row.number)
    table = context.store.put_table(rows, Square)
    manifest = Manifest(
        stage=context.stage, config_digest=config.digest, rows=len(rows), tables={"squares": table},
        metrics={"largest": float(rows[-1].square)},
    )
    return Result(manifest, {"sum": str(sum(row.square for row in rows))})


def note(manifest: Manifest, store: Store) -> View:
    squares = [row.square for row in store.get_table(manifest.tables["squares"], Square)]
    return View(f"squares: {squares}".encode(), {"drawn": True})


def broken(manifest: Manifest, store: Store) -> View:
    raise RuntimeError("no ink")


if __name__ == "__main__":
    stage_main(run, views={"markdown": note, "html": broken})
'''


class StageRunner:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        package = folder / "package"
        package.mkdir()
        (package / "square.py").write_text(STAGE)

    def __call__(
        self, *arguments: str, config: object = None, workers: int = 1
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "square", "--root", str(self.folder / "store"), *arguments]
        if config is not None:
            command += ["--config", json.dumps(config)]
        if "--help" not in arguments:
            command += ["--manifest", str(self.folder / "out" / "manifest.json")]
        environment = os.environ | {"PYTHONPATH": str(self.folder / "package"), "VEO_WORKERS": str(workers)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    @property
    def manifest(self) -> Manifest:
        return Manifest.load(self.folder / "out" / "manifest.json")


@pytest.fixture
def square(tmp_path: Path) -> StageRunner:
    return StageRunner(tmp_path)


def one_line(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    return lines[0]


def test_stage_help_explains_its_configuration(square: StageRunner) -> None:
    text = square("--help").stdout
    assert "Square numbers." in text
    assert "upto: how many numbers to square (default 8)" in text


def test_stage_writes_manifest_digest_outputs_and_executor_output(
    square: StageRunner, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "er"
    process = square(
        "--digest", str(out / "digest"), "--output", "sum", str(out / "sum"),
        "--executor-output", str(out / "executor.json"), config={"upto": 4},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert square.manifest.rows == 4
    assert (out / "digest").read_text() == square.manifest.digest
    assert (out / "sum").read_text() == "14"
    metadata = json.loads((out / "executor.json").read_text())["artifacts"]["manifest"]["artifacts"][0][
        "metadata"
    ]
    assert metadata["digest"] == square.manifest.digest


def described(square: StageRunner, *arguments: str) -> dict[str, dict[str, object]]:
    """The metadata of each output artifact that the stage describes."""
    path = square.folder / "executor.json"
    process = square(*arguments, "--executor-output", str(path), config={"upto": 4})
    assert process.returncode == 0, process.stderr
    artifacts = json.loads(path.read_text())["artifacts"]
    return {name: entry["artifacts"][0]["metadata"] for name, entry in artifacts.items()}


def test_figures_of_the_manifest_are_shown(square: StageRunner, tmp_path: Path) -> None:
    metadata = described(square, "--view", "metrics", str(tmp_path / "metrics"))
    assert metadata["metrics"] == {"rows": 4, "largest": 9.0}
    assert json.loads((tmp_path / "metrics").read_text()) == metadata["metrics"]


def test_view_leads_to_its_manifest_and_to_those_that_it_was_made_from(
    square: StageRunner, tmp_path: Path
) -> None:
    assert square(config={"upto": 3}).returncode == 0
    before = square.manifest
    (tmp_path / "numbers").write_bytes(before.to_bytes())
    metadata = described(
        square, "--numbers", str(tmp_path / "numbers"), "--view", "markdown", str(tmp_path / "note"),
        "--uri", "numbers", "gs://b/numbers", "--uri", "manifest", "gs://b/squares",
    )  # fmt: skip
    assert (tmp_path / "note").read_text() == "squares: [0, 1, 4, 9]"
    assert metadata["markdown"] == {
        "drawn": True, "stage": "square", "rows": 4, "config_digest": square.manifest.config_digest,
        "manifest_digest": square.manifest.digest, "manifest_uri": "gs://b/squares",
        "input_numbers_digest": before.digest, "input_numbers_uri": "gs://b/numbers",
    }  # fmt: skip
    assert "gs://b/squares" not in str(metadata["manifest"])


def test_view_that_cannot_be_drawn_says_so_and_costs_no_work(square: StageRunner, tmp_path: Path) -> None:
    metadata = described(square, "--view", "html", str(tmp_path / "html"))
    problem = "html could not be drawn: RuntimeError: no ink"
    assert metadata["html"]["problem"] == problem
    assert (tmp_path / "html").read_text() == f"{problem}\n"
    assert square.manifest.rows == 4


def test_view_that_the_stage_does_not_have_is_one_line(square: StageRunner, tmp_path: Path) -> None:
    assert "no view 'pdf'" in one_line(square("--view", "pdf", str(tmp_path / "pdf"), config={"upto": 3}))


def test_stage_result_does_not_depend_on_the_number_of_workers(square: StageRunner) -> None:
    assert square(config={"upto": 9}, workers=1).returncode == 0
    alone = square.manifest.digest
    (square.folder / "store").rename(square.folder / "old")
    assert square(config={"upto": 9}, workers=3).returncode == 0
    assert square.manifest.digest == alone


def test_stage_result_is_the_same_on_ray(square: StageRunner) -> None:
    assert square(config={"upto": 9}).returncode == 0
    alone = square.manifest.digest
    (square.folder / "store").rename(square.folder / "old")
    process = square("--executor", "ray", config={"upto": 9}, workers=2)
    assert process.returncode == 0, process.stderr
    assert square.manifest.digest == alone


@pytest.mark.thorough
def test_what_the_user_can_mend_is_one_line_on_ray_too(square: StageRunner) -> None:
    process = square("--executor", "ray", config={"upto": 100}, workers=2)
    assert process.returncode == 2
    assert "error: ninety-nine is too many" in process.stderr.splitlines()


@pytest.mark.thorough
def test_shard_whose_process_dies_is_tried_again_on_ray(square: StageRunner, tmp_path: Path) -> None:
    process = square("--executor", "ray", config={"log": str(tmp_path / "log"), "die_at": 7}, workers=2)
    assert process.returncode == 0, process.stderr
    assert square.manifest.rows == 8


@pytest.mark.thorough
def test_shard_whose_process_always_dies_ends_the_stage_on_ray(square: StageRunner, tmp_path: Path) -> None:
    config = {"log": str(tmp_path / "log"), "die_at": 7, "die_again": True}
    process = square("--executor", "ray", config=config, workers=2)
    assert process.returncode == 1
    assert "WorkerCrashedError" in process.stderr
    assert (tmp_path / "log.alive").read_text().split() == ["died"] * 4


def test_parts_of_a_stage_publish_nothing_and_leave_the_whole_run_nothing_to_do(
    square: StageRunner, tmp_path: Path
) -> None:
    config = {"upto": 20, "log": str(tmp_path / "log")}
    for part in ("0/2", "1/2"):
        assert square("--part", part, "--digest", str(tmp_path / part), config=config).returncode == 0
        assert (tmp_path / part).read_text().endswith(part)
        assert not (square.folder / "out" / "manifest.json").exists()
    assert square(config=config).returncode == 0
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(20))
    assert square.manifest.rows == 20


def test_a_part_that_is_none_is_one_line(square: StageRunner) -> None:
    assert "INDEX/COUNT" in one_line(square("--part", "2/2"))


def test_unknown_configuration_key_names_the_nearest_right_one(square: StageRunner) -> None:
    assert "'upto'" in one_line(square(config={"up_to": 3}))


@pytest.mark.parametrize("config", ["{broken", "missing.yaml", '{"upto": -1}', '{"upto": "many"}'])
def test_bad_configuration_is_one_line(square: StageRunner, config: str) -> None:
    assert one_line(square("--config", config)).startswith("error: ")


def test_input_manifest_with_another_digest_is_refused(square: StageRunner, tmp_path: Path) -> None:
    assert square(config={"upto": 3}).returncode == 0
    path = str(tmp_path / "out" / "manifest.json")
    assert square("--numbers", path, "--numbers-digest", square.manifest.digest).returncode == 0
    assert "expected 00" in one_line(square("--numbers", path, "--numbers-digest", "00"))


def test_unwritable_store_is_one_line(square: StageRunner) -> None:
    assert "cannot be written" in one_line(square("--root", "/proc/store"))


def test_unexpected_error_shows_its_traceback(square: StageRunner) -> None:
    process = square(config={"upto": 13})
    assert process.returncode == 1
    assert "RuntimeError: thirteen" in process.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_stage_killed_in_the_middle_repeats_no_finished_shard(
    square: StageRunner, tmp_path: Path, workers: int
) -> None:
    log = tmp_path / "log"
    config = {"upto": 60, "log": str(log), "die_at": 7}
    killed = square(config=config, workers=workers)
    assert killed.returncode != 0
    done_before = len(log.read_text().split())
    again = square(config=config, workers=workers)
    assert again.returncode == 0, again.stderr
    assert square.manifest.rows == 60
    counts = [log.read_text().split().count(str(number)) for number in range(60) if number != 7]
    assert min(counts) == 1
    repeated = sum(counts) - len(counts)
    largest_shard = 7
    assert repeated <= largest_shard * workers < len(counts)
    assert done_before > repeated
