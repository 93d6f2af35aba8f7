"""`veo verify` against every kind of damage, on stores of all kinds."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from curated_run import CuratedRun
from synthetic_run import SyntheticRun

from veo_core.cli.main import main
from veo_core.lineage.evidence import gather
from veo_core.lineage.forget import Forgetting, Request
from veo_core.lineage.references import in_json
from veo_core.lineage.verify import Problem, Verification, verify
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord
from veo_core.storage import Store


def found(run: Path, store: Store) -> Verification:
    return verify(gather(run, store))


def only(run: Path, store: Store) -> Problem:
    (problem,) = found(run, store).problems
    return problem


@pytest.fixture
def curated(tmp_path: Path) -> CuratedRun:
    return CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs", count=14).write()


def overwrite(store: Store, path: str, change: Callable[[bytes], bytes]) -> None:
    fs, base = fsspec.core.url_to_fs(store.root)
    fs.pipe_file(f"{base}/{path}", change(fs.cat_file(f"{base}/{path}")))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_run_as_it_was_written_is_intact_and_every_stored_file_is_looked_at(curated) -> None:
    result = found(curated.folder, curated.store)

    referred = {
        path for path in curated.store.objects() if path.endswith((".mp4", ".jpg", ".tar", ".parquet"))
    }
    denied = {curated.denied.source.file.path, curated.denied.media.path} | {
        frame.path for frame in curated.denied.key_frames
    }
    assert result.problems == []
    assert result.objects >= len(referred - denied)
    record = RunRecord.load(curated.folder / "run.json")
    assert result.artifacts == sum(len(made) for task in record.tasks for made in task.outputs.values()) == 8


@pytest.mark.parametrize("kind", ["shard", "media", "table", "source"])
def test_flipped_byte_is_found_with_the_stage_that_made_it(curated, kind: str) -> None:
    ref, task, part = {
        "shard": (curated.packed.manifest.shards[0], "package", "shard 0"),
        "media": (curated.kept[0].media, "prepare", "media of table clips"),
        "table": (curated.packed.manifest.tables["pairs"], "package", "table pairs"),
        "source": (curated.kept[0].source.file, "collect", "file of table sources"),
    }[kind]
    overwrite(curated.store, ref.path, flipped)

    problem = only(curated.folder, curated.store)
    assert (problem.trouble, problem.task, problem.part, problem.path) == ("altered", task, part, ref.path)


def test_deleted_key_frame_is_missing(curated) -> None:
    frame = curated.kept[2].key_frames[0]
    curated.store.remove_object(frame.path)

    problem = only(curated.folder, curated.store)
    assert (problem.trouble, problem.task, problem.part) == (
        "missing",
        "prepare",
        "key_frames of table clips",
    )
    assert problem.path == frame.path


def test_edited_manifest_is_altered_and_later_stages_still_vouch_for_their_files(curated) -> None:
    path = curated.folder / "artifacts" / "dedup" / "manifest"
    path.write_bytes(path.read_bytes().replace(b'"kept":24', b'"kept":23').replace(b'"rows"', b'"rows" '))
    curated.store.remove_object(curated.packed.manifest.shards[0].path)

    edited, gone = found(curated.folder, curated.store).problems
    assert (edited.trouble, edited.task, edited.part) == ("altered", "dedup", "manifest")
    assert (gone.trouble, gone.task, gone.part) == ("missing", "package", "shard 0")


def test_swapped_checkpoint_is_altered_even_where_its_size_is_equal(make_run) -> None:
    run = make_run().whole()
    folder = run.write()
    manifest = Manifest.model_validate_json((folder / "artifacts" / "train-base" / "manifest").read_bytes())
    weights = manifest.files["weights"]
    overwrite(run.store, weights.path, lambda data: bytes(reversed(data)))

    problem = only(folder, run.store)
    assert (problem.trouble, problem.task, problem.part) == ("altered", "train-base", "file weights")


def test_files_that_only_a_registered_models_entry_names_are_looked_at(make_run) -> None:
    run = make_run().whole()
    folder = run.write()
    manifest = Manifest.model_validate_json((folder / "artifacts" / "register" / "manifest").read_bytes())
    entry = run.store.get_bytes(manifest.files["entry"])
    weights = next(r for r in in_json(entry, "entry") if r.part.startswith("base_weights"))
    run.store.remove_object(weights.path)

    problem = only(folder, run.store)
    assert (problem.trouble, problem.task) == ("missing", "register")
    assert problem.part == "base_weights of file entry"


def test_edited_copy_of_the_pipeline_is_altered(curated) -> None:
    (curated.folder / "pipeline.yaml").write_text('{"pipelineInfo": {"name": "another"}}')

    problem = only(curated.folder, curated.store)
    assert (problem.trouble, problem.part) == ("altered", "the compiled pipeline")


def test_manifest_and_its_record_edited_together_are_given_away_by_the_stage_that_read_it(
    curated, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "run-3"
    folder.mkdir()
    run = SyntheticRun(folder, curated.store)
    run.task("dedup", Manifest(stage="dedup", config_digest="c", rows=1))
    (made,) = run.tasks[0].outputs["manifest"]
    run.task("package", inputs={"clips": [made]})
    run.write()
    assert found(folder, curated.store).intact

    forged = Manifest(stage="dedup", config_digest="c", rows=2)
    Path(made.uri).write_bytes(forged.to_bytes())
    record = (folder / "run.json").read_text()
    own = record.index(made.sha256, record.index('"outputs"', record.index('"name":"dedup"')))
    (folder / "run.json").write_text(record[:own] + forged.digest + record[own + 64 :])

    problem = only(folder, curated.store)
    assert (problem.task, problem.part) == ("package", "record of input clips")


def test_reference_that_leads_out_of_the_store_is_not_followed(curated, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    outside = FileRef(path="../secret.json", sha256=sha256_bytes(b"{}"), bytes=2)
    folder = tmp_path / "runs" / "run-3"
    folder.mkdir()
    run = SyntheticRun(folder, curated.store)
    run.task("package", Manifest(stage="package", config_digest="c", files={"leak": outside}))
    run.write()

    problem = only(folder, curated.store)
    assert (problem.trouble, problem.part) == ("unreadable", "file leak")


def test_artifact_that_leads_out_of_the_runs_folder_is_not_read(curated, tmp_path: Path) -> None:
    record = json.loads((curated.folder / "run.json").read_bytes())
    record["tasks"][0]["outputs"]["manifest"][0]["uri"] = "../../../etc/passwd"
    (curated.folder / "run.json").write_text(json.dumps(record))

    problem = next(p for p in found(curated.folder, curated.store).problems if p.task == "collect")
    assert (problem.trouble, problem.part) == ("unreadable", "manifest")


def test_run_whose_folder_was_moved_is_looked_at_where_it_is_now(curated, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / curated.name
    shutil.move(curated.folder, moved)
    assert found(moved, curated.store).intact

    (moved / "artifacts" / "collect" / "manifest").unlink()
    assert only(moved, curated.store).trouble == "missing"


def test_forgotten_source_leaves_an_intact_run(curated) -> None:
    request = Request(when="2026-11-25T00:00:00Z", why="asked by mail")
    Forgetting.of(curated.kept[0].source.source_id, request, runs=curated.runs, store=curated.store).execute(
        lambda _: 0
    )

    result = found(curated.folder, curated.store)
    assert result.intact, result.problems
    assert any("asked by mail" in note for note in result.notes)


def test_files_of_a_forgotten_source_that_an_older_copy_still_names_are_forgotten_not_damaged(
    curated, tmp_path: Path
) -> None:
    clip = curated.kept[0]
    refs = [clip.media, clip.source.file, *clip.key_frames]
    for ref in refs:
        curated.store.remove_object(ref.path)
    curated.store.set_mark(f"forgotten/{clip.source.source_id}", b"{}")

    result = found(curated.folder, curated.store)
    assert {problem.path for problem in result.problems} == {ref.path for ref in refs}
    assert {problem.trouble for problem in result.problems} == {"forgotten"}
    assert result.intact


@pytest.mark.parametrize("state", ["FAILED", "INTERRUPTED", "CANCELLED"])
def test_run_that_did_not_end_is_looked_at_as_far_as_it_got(tmp_path: Path, state: str) -> None:
    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs", count=14).write(until="annotate")
    record = json.loads((run.folder / "run.json").read_bytes())
    (run.folder / "run.json").write_text(json.dumps(record | {"state": state}))

    result = found(run.folder, run.store)
    assert result.intact
    assert any(state.lower() in note for note in result.notes)


def test_damaged_record_is_said_to_be_so(curated, capsys) -> None:
    path = curated.folder / "run.json"
    path.write_bytes(path.read_bytes()[:200])

    assert verify(gather(curated.folder, curated.store)).problems[0].part == "the run's record"
    assert not found(curated.folder, curated.store).intact


def test_command_says_what_is_wrong_and_exits_with_1(curated, capsys) -> None:
    place = ["--runs", str(curated.runs), "--root", curated.store.root]
    assert main(["verify", "run-1", *place]) == 0
    assert "intact: " in capsys.readouterr().out

    overwrite(curated.store, curated.packed.manifest.shards[0].path, flipped)
    assert main(["verify", "run-1", *place]) == 1
    assert "altered package: shard 0, objects/" in capsys.readouterr().out
    assert main(["verify", "run-1", *place, "--json"]) == 1
    assert Verification.model_validate_json(capsys.readouterr().out).problems[0].part == "shard 0"


def test_hostile_names_are_shown_not_obeyed(curated, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "runs" / "run-3"
    folder.mkdir()
    run = SyntheticRun(folder, curated.store)
    ref = FileRef(path="objects/\x1b[2Jx\u202e", sha256="0" * 64, bytes=1)
    run.task("package", Manifest(stage="package", config_digest="c", files={"\x1b]0;owned\x07": ref}))
    run.write()

    assert main(["verify", "run-3", "--runs", str(tmp_path / "runs"), "--root", curated.store.root]) == 1
    out = capsys.readouterr().out
    assert "\\u001b" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_run_in_a_bucket_is_verified_there(bucket: str, tmp_path: Path) -> None:
    curated = CuratedRun(Store(f"{bucket}/{os.urandom(4).hex()}"), tmp_path / "runs", count=14).write()
    assert found(curated.folder, curated.store).problems == []

    shard, frame = curated.packed.manifest.shards[0], curated.kept[0].key_frames[0]
    overwrite(curated.store, shard.path, flipped)
    curated.store.remove_object(frame.path)
    problems = {(p.trouble, p.task, p.part) for p in found(curated.folder, curated.store).problems}
    assert problems == {
        ("altered", "package", "shard 0"),
        ("missing", "prepare", "key_frames of table clips"),
    }


def test_clips_table_is_read_by_columns_for_every_file_of_a_clip(curated) -> None:
    clip: Clip = curated.kept[0]
    for ref in (clip.media, clip.source.file, clip.key_frames[0]):
        curated.store.remove_object(ref.path)
    assert {p.path for p in found(curated.folder, curated.store).problems} == {
        clip.media.path, clip.source.file.path, clip.key_frames[0].path,
    }  # fmt: skip
