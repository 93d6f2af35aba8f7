"""`veo world make` and `veo world judge` on the command line."""

import json
from pathlib import Path

import pytest

from veo_core.world.main import main
from veo_core.world.studio import film_clip, read_truth
from veo_core.world.truth import WorldSpec


def problem(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command prints when it is refused."""
    try:
        code: object = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    return line


def test_make_films_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "world"
    arguments = ["make", str(out), "--clips", "4", "--seed", "9", "--width", "64", "--height", "64"]
    assert main([*arguments, "--flaws", "0.5", "--workers", "1"]) == 0
    truths = read_truth(out / "truth.jsonl")
    assert [truth.index for truth in truths] == [0, 1, 2, 3]
    assert len(list((out / "footage").glob("*.mp4"))) == 4
    assert "4 files" in capsys.readouterr().out


def test_judge_prints_what_is_seen_and_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = film_clip(WorldSpec(clips=1, seed=12, two_objects=0.0), 0, tmp_path)
    assert main(["judge", str(clip.path)]) == 0
    seen = json.loads(capsys.readouterr().out)
    (item,) = clip.truth.shots[0].attributes.objects
    assert {name: seen["objects"][0][name] for name in item.model_dump()} == item.model_dump()
    assert seen["pitch"] == clip.truth.shots[0].attributes.pitch
    assert seen["onsets"] == pytest.approx(list(clip.truth.onsets), abs=0.005)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["make", "OUT", "--clips", "0"], "clips"),
        (["make", "OUT", "--clips", "many"], "--clips"),
        (["make", "OUT", "--flaws", "2"], "flaws"),
        (["make", "OUT", "--seconds", "0.5"], "seconds"),
        (["make", "OUT", "--width", "33"], "width"),
        (["make"], "OUT"),
        (["judge", "OUT"], "cannot be read"),
        (["film"], "film"),
        ([], "COMMAND"),
    ],
)
def test_bad_arguments_give_one_line_and_exit_2(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert reason in problem(filled, capsys)
    assert not (tmp_path / "out").exists()


def test_make_into_a_used_folder_gives_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("")
    assert "not empty" in problem(["make", str(tmp_path), "--clips", "1"], capsys)
    assert "cannot be written" in problem(["make", str(tmp_path / "mine" / "out")], capsys)


@pytest.mark.parametrize("content", [b"", b"not a film", b"\x00\x00\x00\x20ftypisom" + bytes(200)])
def test_judge_of_what_is_no_film_gives_one_line_and_exit_2(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.mp4").write_bytes(content)
    assert "undecodable" in problem(["judge", str(tmp_path / "file.mp4")], capsys)


def test_judge_of_a_folder_gives_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cannot be read" in problem(["judge", str(tmp_path)], capsys)
