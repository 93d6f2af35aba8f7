"""Which run the model's bench measures, and what it takes from its record."""

import json
from pathlib import Path

import pytest

from benchmarks.model.trained import TrainedRun, obtain
from veo_core.errors import UsageError
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, RunRecord, TaskRecord
from veo_core.storage import Store


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run with one task that trained and one that came from the cache."""
    root, folder = tmp_path / "store", tmp_path / "runs" / "20260101-run"
    folder.mkdir(parents=True)
    store = Store(str(root))
    weights = store.put_bytes(b"weights", ".safetensors")
    manifest = folder / "manifest.json"
    manifest.write_bytes(Manifest(stage="base", config_digest="", files={"weights": weights}).to_bytes())
    artifact = ArtifactRecord(uri=str(manifest), sha256="")
    tasks = [
        TaskRecord(name="train-video-vae", component="c", state="CACHED"),
        TaskRecord(
            name="train-base",
            component="c",
            state="SUCCEEDED",
            started=10.0,
            finished=70.0,
            outputs={"manifest": [artifact]},
        ),
    ]
    record = RunRecord(
        run_id=folder.name,
        pipeline="p",
        state="SUCCEEDED",
        created=0.0,
        finished=100.0,
        ir_digest="",
        parameters={"root": str(root), "train_base_config": json.dumps({"steps": 7})},
        tasks=tasks,
    )
    (folder / "run.json").write_bytes(record.to_bytes())
    return folder


def opened(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedRun:
    monkeypatch.setenv("RUN", str(folder))
    monkeypatch.delenv("ROOT", raising=False)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return obtain(scratch, seed=0, quick=True)


def test_a_run_tells_manifests_configurations_and_the_time_of_what_ran(finished, tmp_path, monkeypatch):
    run = opened(finished, tmp_path, monkeypatch)
    assert run.store.get_bytes(run.manifest("train-base").files["weights"]) == b"weights"
    assert run.config("train_base") == {"steps": 7}
    assert run.seconds() == {"train-base": 60.0}
    assert run.anew is False


def test_the_time_of_a_cached_task_is_that_of_the_run_that_made_it(finished, tmp_path, monkeypatch):
    record = RunRecord.load(finished / "run.json")
    made, later = finished.with_name("20251231-run"), finished.with_name("20260102-run")
    times = {"state": "SUCCEEDED", "started": 5.0, "finished": 25.0}
    first = record.tasks[0].model_copy(update=times)
    cached = [
        record.tasks[0].model_copy(update={"cached_from": made.name}),
        record.tasks[1].model_copy(update={"state": "CACHED", "cached_from": "a-run-that-is-gone"}),
    ]
    for folder, tasks in ((made, [first]), (later, cached)):
        folder.mkdir()
        changed = record.model_copy(update={"run_id": folder.name, "tasks": tasks})
        (folder / "run.json").write_bytes(changed.to_bytes())
    assert opened(later, tmp_path, monkeypatch).seconds() == {"train-video-vae": 20.0}


def test_what_a_bench_writes_stays_out_of_the_store_of_the_run(finished, tmp_path, monkeypatch):
    run = opened(finished, tmp_path, monkeypatch)
    ref = run.store.put_bytes(b"a generated clip", ".mp4")
    with pytest.raises(UsageError):
        Store(str(tmp_path / "store")).get_bytes(ref)


def test_a_run_that_failed_is_refused(finished, tmp_path, monkeypatch):
    path = finished / "run.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"state": "FAILED"}))
    with pytest.raises(UsageError, match="RUN="):
        opened(finished, tmp_path, monkeypatch)


def test_a_run_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN", "20991231")
    with pytest.raises(UsageError, match="run"):
        obtain(tmp_path, seed=0, quick=True)
