"""Scoring folders of clips that any system made, by way of the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.degrade import Footage, world_footage
from veo_core.cli.main import main
from veo_core.errors import UsageError
from veo_core.evaluate.folder import clips_of
from veo_core.evaluate.records import ClipScore
from veo_core.generate.suites import PromptSuite, SuitePrompt
from veo_core.media.encode import encode
from veo_core.records.tables import read_table


def write(clip: Footage, path: Path) -> None:
    encode(path, clip.frames, fps=clip.fps, audio=clip.sound[None], audio_rate=clip.rate)


def suite(*prompts: str, identities: tuple[str, ...] = ()) -> PromptSuite:
    named = identities or ("",) * len(prompts)
    return PromptSuite(
        name="s",
        sha256="0" * 64,
        prompts=[SuitePrompt(identity=i, text=text) for i, text in zip(named, prompts, strict=True)],
    )


def empty(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def found(folder: Path, prompts: PromptSuite | None) -> dict[str, str]:
    return {clip.path.name: clip.prompt.text for clip in clips_of(folder, prompts)}


def test_clips_numbered_from_zero_answer_lines_from_zero(tmp_path):
    empty(tmp_path, "0.mp4", "2.mp4")
    assert found(tmp_path, suite("a", "b", "c")) == {"0.mp4": "a", "2.mp4": "c"}


def test_clips_of_veo_generate_answer_lines_from_one(tmp_path):
    empty(tmp_path, "0001-a-cat.mp4", "0003-a-dog.mp4")
    assert list(found(tmp_path, suite("a", "b", "c")).values()) == ["a", "c"]


def test_ids_and_texts_beside_clips_come_before_numbers(tmp_path):
    empty(tmp_path, "1.mp4", "x7.webm")
    (tmp_path / "x7.txt").write_text("c\n")
    assert found(tmp_path, suite("a", "b", "c", identities=("9", "1", ""))) == {"1.mp4": "b", "x7.webm": "c"}


def test_a_clip_of_no_prompt_is_explained(tmp_path):
    empty(tmp_path, "7.mp4")
    with pytest.raises(UsageError, match="belongs to no prompt of suite s"):
        clips_of(tmp_path, suite("a", "b"))


def test_a_folder_without_clips_is_explained(tmp_path):
    with pytest.raises(UsageError, match="holds no clip"):
        clips_of(tmp_path, None)
    with pytest.raises(UsageError, match="no such folder"):
        clips_of(tmp_path / "none", None)


@pytest.fixture(scope="module")
def system(tmp_path_factory) -> Path:
    """Nine clips laid out as a benchmark publishes them, the last one broken, and the tagged prompts."""
    root = tmp_path_factory.mktemp("system")
    (root / "clips").mkdir()
    (root / "real").mkdir()
    rows = ["prompt,concept,motion_level"]
    for index, clip in enumerate(world_footage(8, 21)):
        write(clip, root / "clips" / f"{index}.mp4")
        rows.append(f"{clip.prompt.replace(',', '')},{('physics', 'animals')[index % 2]},high")
    for index, clip in enumerate(world_footage(8, 22)):
        write(clip, root / "real" / f"{index}.mp4")
    (root / "clips" / "8.mp4").write_bytes(b"no film")
    rows.append("a prompt that nothing can answer,physics,low")
    (root / "suite.csv").write_text("\n".join(rows) + "\n")
    return root


def test_eval_scores_a_folder_by_tag_and_says_what_was_not_run(system, tmp_path, capsys):
    arguments = ["--clips", f"{system}/clips", "--suite", f"{system}/suite.csv", "--real", f"{system}/real"]
    assert main(["eval", *arguments, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "9 of 9 different prompts answered, 9 clips" in shown
    assert "clip_score: not run: needs networks.clip" in shown
    rows = json.loads((tmp_path / "summary.json").read_bytes())["rows"]
    values = {(row["metric"], row["split"], row["mode"]): row for row in rows}
    assert values["playable_with_sound", "all", "t2v"]["value"] == pytest.approx(8 / 9)
    assert values["playable_with_sound", "concept:animals", "t2v"]["n"] == 4
    assert values["playable_with_sound", "motion_level:low", "t2v"]["value"] == 0.0
    assert values["mel_frechet", "all", "t2v"]["control"] > values["mel_frechet", "all", "t2v"]["value"]
    assert values["clip_score", "all", ""]["value"] is None
    scores = list(read_table(tmp_path / "scores.parquet", ClipScore))
    assert len(scores) == 9
    assert sum(bool(score.problem) for score in scores) == 1
    assert not list(system.glob("clips/objects"))


def test_eval_against_itself_finds_no_difference(system, capsys):
    clips = f"{system}/clips"
    assert main(["eval", "--clips", clips, "--suite", f"{system}/suite.csv", "--against", clips]) == 0
    compared = [line for line in capsys.readouterr().out.splitlines() if "against" in line]
    assert compared
    assert all(line.endswith("undecided") for line in compared)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "nothing to score"),
        (["--clips", "nowhere"], "no such folder"),
        (["--clips", ".", "--suite", "none.txt"], "no such file"),
        (["--clips", ".", "--networks", "none.yaml"], "cannot be read"),
    ],
)
def test_eval_explains_what_it_cannot_do(arguments, what, capsys):
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert what in error
    assert error.count("\n") == 1


def test_metrics_are_listed(capsys):
    assert main(["eval", "metrics"]) == 0
    assert "sync_share_100ms" in capsys.readouterr().out


def test_side_by_side_serves_a_page_and_tells_its_address(system, tmp_path):
    clips = str(system / "clips")
    command = [sys.executable, "-m", "veo_core.cli.main", "eval", "side-by-side", clips, clips, "--port", "0"]
    with subprocess.Popen(
        [*command, "--votes", str(tmp_path / "v.jsonl")], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        server.terminate()


def test_result_without_votes_is_explained(tmp_path, capsys):
    arguments = ["a", "b", "--votes", str(tmp_path / "none.jsonl"), "--result"]
    assert main(["eval", "side-by-side", *arguments]) == 2
    assert "holds no vote" in capsys.readouterr().err
