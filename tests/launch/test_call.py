"""The command line of a stage, read for its files."""

from pathlib import Path

import pytest

from veo_core.errors import UsageError
from veo_core.launch.call import StageCall

LINE = ["--root=s3://b/store", "--seed", "5", "--config", '{"steps": 4}', "--latents-digest", "12"]


def call(folder: Path, *more: str) -> StageCall:
    (folder / "latents.json").write_text("{}")
    files = ["--latents", str(folder / "latents.json"), "--manifest", str(folder / "out")]
    return StageCall.parse("veo_core.train.base", [*LINE, *files, *more])


def test_files_are_told_from_values(tmp_path):
    found = call(tmp_path, "--output", "model", "/out/model", "--executor-output", "/out/executor")
    assert (found.name, found.root) == ("base", "s3://b/store")
    assert found.inputs == {"latents": tmp_path / "latents.json"}
    assert found.outputs == {
        "manifest": tmp_path / "out",
        "output model": Path("/out/model"),
        "executor-output": Path("/out/executor"),
    }


def test_views_are_files_and_addresses_say_where_the_orchestrator_has_them(tmp_path):
    place = ["--uri", "latents", "s3://b/latents"]
    found = call(tmp_path, "--view", "html", "/out/html", *place)
    assert found.outputs["view html"] == Path("/out/html")
    assert found.addresses == tuple(place)
    moved = found.moved(Path("/f")).arguments
    assert " ".join(place) in " ".join(moved)
    assert "--view html /f/view-html" in " ".join(moved)
    assert found.key == call(tmp_path).key


def test_moved_call_names_the_same_values_and_its_files_in_the_folder(tmp_path):
    line = call(tmp_path, "--output", "model", "/out/model").moved(Path("/f")).arguments
    moved = ["--latents", "/f/latents", "--manifest", "/f/manifest", "--output", "model", "/f/output-model"]
    assert line == ["--root", "s3://b/store", *LINE[1:], *moved]


def test_configuration_in_a_file_is_an_input(tmp_path):
    line = ["--root", "r", "--config", str(tmp_path / "config.yaml")]
    assert StageCall.parse("m", line).inputs == {"config": tmp_path / "config.yaml"}


def test_key_depends_on_what_is_asked_and_not_on_where_files_are(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert call(one).key == call(two).key != call(one, "--seed", "6").key
    key = call(two).key
    found = call(two)
    (two / "latents.json").write_text("[]")
    assert found.key != key


def test_input_that_is_not_there_is_named(tmp_path):
    found = StageCall.parse("m", ["--root", "r", "--latents", str(tmp_path / "none")])
    with pytest.raises(UsageError, match="none: cannot be read: No such file"):
        found.input_texts()
