"""Suites in files: formats, digests, tags. The files are made up, in the format of MovieGenBench."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_core.errors import UsageError
from veo_core.generate.suites import MOVIE_GEN_BENCH, read_suite

LINES = ["a cat on a mat", 'two dogs, and a "stick"', "a cat on a mat"]
TAGGED = 'prompt,concept,motion_level\na cat on a mat,animals,low\n"two dogs, and a ""stick""",animals,high\n'


def test_text_file_is_a_prompt_a_line_and_equal_ones_stay(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(LINES) + "\n\n")
    suite = read_suite(str(path))
    assert [prompt.text for prompt in suite.prompts] == LINES
    assert (suite.name, suite.different) == ("own", 2)
    assert suite.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_tagged_csv_gives_concept_and_motion(tmp_path):
    path = tmp_path / "tags.csv"
    path.write_text(TAGGED)
    first, second = read_suite(str(path)).prompts
    assert first.tags == ["concept:animals", "motion_level:low"]
    assert second.text == 'two dogs, and a "stick"'


def test_audio_jsonl_gives_ids_video_prompts_and_sounds(tmp_path):
    path = tmp_path / "audio.jsonl"
    rows = [
        {"id": 17, "video_prompt": "rain on a roof", "audio_prompt": "drops", "music_prompt": "piano"},
        {"id": "x", "video_prompt": "a drum", "audio_prompt": "a beat"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_suite(str(path)).prompts
    assert (first.identity, first.text, first.sound) == ("17", "rain on a roof", "drops piano")
    assert (second.identity, second.sound) == ("x", "a beat")


@pytest.mark.parametrize("name", sorted(MOVIE_GEN_BENCH))
def test_a_file_named_as_the_benchmark_must_be_the_published_one(tmp_path, name):
    path = tmp_path / name
    path.write_text(TAGGED if name.endswith("csv") else '{"prompt": "x"}\n')
    with pytest.raises(UsageError, match=f"expected {MOVIE_GEN_BENCH[name]}"):
        read_suite(str(path))
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_suite(str(path), sha256=own.upper()).prompts


def test_a_stated_digest_is_held(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("a\n")
    with pytest.raises(UsageError, match=r"own\.txt: its sha256 is"):
        read_suite(str(path), sha256="0" * 64)


def test_a_suite_is_read_by_uri():
    import fsspec

    with fsspec.open("memory://suites/own.txt", "wb") as stream:
        stream.write(b"a\nb\n")
    assert len(read_suite("memory://suites/own.txt").prompts) == 2


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.csv", "text,concept\nx,y\n", "column 'prompt'"),
        ("a.csv", "prompt,concept\nx,y,z\n", "line 2"),
        ("a.jsonl", "{\n", "line 1: not valid JSON"),
        ("a.jsonl", '{"id": 1}\n', "'video_prompt'"),
        ("a.jsonl", '{"prompt": "x", "tags": [1]}\n', "must be text"),
        ("a.yaml", "x", "expected a .txt"),
        ("a.txt", "\n \n", "holds no prompt"),
    ],
)
def test_a_file_that_is_no_suite_is_explained(tmp_path, name, text, what):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=what):
        read_suite(str(path))


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        read_suite(str(tmp_path / "none.txt"))


@given(st.binary(max_size=60), st.sampled_from([".txt", ".csv", ".jsonl"]))
def test_any_bytes_give_a_suite_or_a_usage_error(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("any") / f"x{suffix}"
    path.write_bytes(data)
    try:
        prompts = read_suite(str(path)).prompts
    except UsageError as error:
        prompts, message = None, str(error)
    assert prompts or "\n" not in message
