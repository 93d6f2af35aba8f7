"""When a task's outputs are taken from the cache, and what the record says of it."""

from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import Dataset, Input, Output, OutputPath
from runner_components import IMAGE, read, say, write
from runner_testing import Run, states, tasks

from veo_core.runner import runs


@dsl.container_component
def first_letter(file: Input[Dataset], letter: Output[Dataset]):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'head -c 1 "$0" > "$1"'], [file.path, letter.path])


@dsl.pipeline
def chain(word: str):
    """write -> first_letter -> read; the letter may stay equal while the word changes."""
    read(file=first_letter(file=write(text=word).outputs["file"]).outputs["letter"])


def reasons(record: Any) -> dict[str, str]:
    return {task.name: task.reason for task in record.tasks}


def test_task_when_run_again_is_a_hit_with_equal_outputs(run: Run, tmp_path: Path) -> None:
    first = run(chain, {"word": "apple"})
    second = run(chain, {"word": "apple"})

    assert set(states(first).values()) == {"SUCCEEDED"}
    assert set(reasons(first).values()) == {"miss: first run"}
    assert set(states(second).values()) == {"CACHED"}
    assert {task.cached_from for task in second.tasks} == {first.run_id}
    assert {task.cached_from for task in first.tasks} == {""}
    assert set(reasons(second).values()) == {f"hit: same inputs, code and arguments as run {first.run_id}"}
    assert tasks(second)["read"].output_parameters == {"text": "a"}
    for name in ("write", "first-letter"):
        (before,), (after,) = (
            artifacts for record in (first, second) for artifacts in tasks(record)[name].outputs.values()
        )
        assert before.sha256 == after.sha256
        assert before.uri != after.uri
        assert Path(after.uri).read_bytes() == Path(before.uri).read_bytes()
    assert first.run_id in runs.read_log(tmp_path / "runs", second.run_id, "write")


def test_downstream_when_upstream_ran_anew_with_equal_bytes_is_a_hit(run: Run) -> None:
    run(chain, {"word": "apple"})
    record = run(chain, {"word": "avocado"})

    assert states(record) == {"write": "SUCCEEDED", "first-letter": "SUCCEEDED", "read": "CACHED"}
    assert reasons(record)["write"] == "miss: argument `text` changed"
    assert reasons(record)["first-letter"] == "miss: input `file` changed"


@dsl.container_component
def configured(config: dict, said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$0" > "$1"'], [config, said])


@dsl.pipeline
def configured_pipeline(config: dict):
    configured(config=config)


def test_task_when_a_nested_value_changes_names_its_place(run: Run) -> None:
    config = {"judge": {"prompt": "What is seen?", "frames": [1, 2]}, "steps": 3}
    run(configured_pipeline, {"config": config})
    record = run(configured_pipeline, {"config": config | {"judge": {"prompt": "Say it.", "frames": [1, 5]}}})
    changed = ("argument `config.judge.frames.1` changed", "argument `config.judge.prompt` changed")
    assert reasons(record)["configured"] == f"miss: {', '.join(changed)}"

    many = {f"key{number}": number for number in range(9)}
    record = run(configured_pipeline, {"config": many})
    assert reasons(record)["configured"].endswith(" and 5 more")


def test_task_when_an_earlier_argument_returns_is_a_hit(run: Run) -> None:
    first = run(chain, {"word": "apple"})
    run(chain, {"word": "pear"})
    record = run(chain, {"word": "apple"})

    assert reasons(record)["write"] == f"hit: same inputs, code and arguments as run {first.run_id}"


def test_task_when_reuse_is_off_runs_anew_and_is_kept(run: Run) -> None:
    run(chain, {"word": "apple"})
    fresh = run(chain, {"word": "apple"}, reuse=False)
    record = run(chain, {"word": "apple"})

    assert set(states(fresh).values()) == {"SUCCEEDED"}
    assert reasons(record)["write"] == f"hit: same inputs, code and arguments as run {fresh.run_id}"


@dsl.pipeline
def uncached():
    say(text="x").set_caching_options(False)


def test_task_when_caching_is_off_in_the_pipeline_always_runs(run: Run) -> None:
    run(uncached)
    record = run(uncached)

    assert states(record) == {"say": "SUCCEEDED"}
    assert reasons(record) == {"say": "caching is off"}


def damage_entries(cache: Path) -> None:
    for entry in (cache / "entries").iterdir():
        entry.write_bytes(entry.read_bytes().replace(b"apple", b"mango"))


def damage_objects(cache: Path) -> None:
    for file in (cache / "objects").glob("*/*"):
        file.write_bytes(file.read_bytes().swapcase())


def remove_objects(cache: Path) -> None:
    for file in (cache / "objects").glob("*/*"):
        file.unlink()


def truncate_entries(cache: Path) -> None:
    for entry in (cache / "entries").iterdir():
        entry.write_bytes(entry.read_bytes()[:40])


@dsl.pipeline
def write_apple():
    write(text="apple")


@dsl.pipeline
def say_apple():
    say(text="apple")


@pytest.mark.parametrize(
    ("pipeline", "damage"),
    [
        (say_apple, damage_entries),
        (say_apple, truncate_entries),
        (write_apple, damage_objects),
        (write_apple, remove_objects),
    ],
    ids=lambda value: getattr(value, "__name__", value.name if hasattr(value, "name") else ""),
)
def test_cached_entry_when_damaged_is_a_miss_and_is_mended(
    pipeline: Any, damage: Any, run: Run, tmp_path: Path
) -> None:
    run(pipeline)
    damage(tmp_path / "runs" / ".cache")
    (again,) = run(pipeline).tasks
    (third,) = run(pipeline).tasks

    assert again.state == "SUCCEEDED"
    assert again.reason == "miss: the cached entry is damaged"
    assert third.state == "CACHED"


@dsl.container_component
def with_environment(said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", 'printf %s "$WORD" > "$0"'], [said])


def word_pipeline(word: str) -> Any:
    @dsl.pipeline(name="word")
    def pipeline():
        with_environment().set_env_variable("WORD", word)

    return pipeline


def test_task_when_its_environment_in_the_pipeline_changes_runs_anew(run: Run) -> None:
    run(word_pipeline("a"))
    record = run(word_pipeline("b"))

    assert reasons(record) == {"with-environment": "miss: environment variable `WORD` changed"}


def test_task_when_only_the_runners_environment_changes_is_a_hit(run: Run) -> None:
    run(say_apple, env={"JUDGE_URL": "http://127.0.0.1:1"})
    record = run(say_apple, env={"JUDGE_URL": "http://127.0.0.1:2"})

    assert states(record) == {"say": "CACHED"}


@dsl.pipeline
def names_the_run():
    say(text=f"{dsl.PIPELINE_JOB_NAME_PLACEHOLDER} in {dsl.PIPELINE_ROOT_PLACEHOLDER}")


def test_task_when_only_run_specific_values_differ_is_a_hit(run: Run) -> None:
    first = run(names_the_run)
    record = run(names_the_run)

    assert first.run_id in tasks(first)["say"].output_parameters["said"]
    assert states(record) == {"say": "CACHED"}


@dsl.pipeline
def import_and_read(place: str):
    imported = dsl.importer(artifact_uri=place, artifact_class=Dataset)
    read(file=imported.output)


def test_imported_file_when_its_bytes_change_is_read_anew(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "data.txt"
    source.write_text("v1")
    run(import_and_read, {"place": str(source)})
    source.write_text("v2")
    record = run(import_and_read, {"place": str(source)})

    assert tasks(record)["read"].output_parameters == {"text": "v2"}
    assert reasons(record)["read"] == "miss: input `file` changed"


@dsl.container_component
def library_task(word: str, said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["python", "-m", "some_library.shout"], [word, said])


@dsl.container_component
def other_library_task(word: str, said: OutputPath(str)):
    return dsl.ContainerSpec(IMAGE, ["python3", "-u", "-m", "some_library.whisper"], [word, said])


@dsl.pipeline
def library_pipeline():
    library_task(word="Word")
    other_library_task(word="Word")


def test_task_when_a_file_that_its_module_imports_changes_runs_anew_and_others_do_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_library"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "loud.py").write_text("def louder(word): return word.upper()\n")
    program = "import sys\n{}\nopen(sys.argv[2], 'w').write({})\n"
    (package / "shout.py").write_text(
        program.format("from some_library.loud import louder", "louder(sys.argv[1])")
    )
    (package / "whisper.py").write_text(program.format("", "sys.argv[1].lower()"))
    monkeypatch.syspath_prepend(tmp_path)

    first = run(library_pipeline)
    assert tasks(first)["library-task"].output_parameters == {"said": "WORD"}
    (package / "loud.py").write_text("def louder(word): return word.upper() + '!'\n")
    second = run(library_pipeline)

    assert states(second) == {"library-task": "SUCCEEDED", "other-library-task": "CACHED"}
    assert tasks(second)["library-task"].output_parameters == {"said": "WORD!"}
    assert reasons(second)["library-task"] == "miss: code of some_library/loud.py changed"
    before, after = (tasks(record)["library-task"].code for record in (first, second))
    assert {name for name in before if before[name] != after[name]} == {"some_library/loud.py"}
    assert {"some_library/__init__.py", "some_library/shout.py", "python"} <= set(before)


@dsl.container_component
def missing_module():
    return dsl.ContainerSpec(IMAGE, ["python", "-m", "no_such_library.task"])


@dsl.pipeline
def missing_module_pipeline():
    missing_module()


def test_task_when_its_module_is_not_installed_fails_without_a_cache_key(run: Run) -> None:
    (task,) = run(missing_module_pipeline).tasks

    assert task.state == "FAILED"
    assert task.cache_key == ""
    assert "no_such_library" in task.reason


@dsl.container_component
def elsewhere(place: str, file: Output[Dataset]):
    """Puts its artifact at a place of its own choice."""
    program = (
        'printf data > "$0"; printf \'{"artifacts": {"file": {"artifacts": [{"uri": "%s"}]}}}\' "$0" > "$1"'
    )
    output = dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", program], [place, output, file.path])


@dsl.pipeline
def elsewhere_pipeline(place: str):
    read(file=elsewhere(place=place).outputs["file"])


def test_artifact_when_kept_elsewhere_is_a_hit_only_while_it_is_unchanged(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "kept.txt"
    run(elsewhere_pipeline, {"place": str(place)})
    second = run(elsewhere_pipeline, {"place": str(place)})
    place.write_text("altered")
    third = run(elsewhere_pipeline, {"place": str(place)})

    assert set(states(second).values()) == {"CACHED"}
    assert states(third) == {"elsewhere": "SUCCEEDED", "read": "CACHED"}
    assert place.read_text() == "data"
