"""Films of training, motion and sound of generated clips, and runs that lie in a bucket."""

import sys
from itertools import pairwise
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from shown import api_of, get, library_of, make_run

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from buckets import bucket, gcs_root, s3_root

from veo_core.errors import UsageError
from veo_core.explorer.api import Api, NotFoundError
from veo_core.explorer.bundle import write_report
from veo_core.explorer.model import blocks
from veo_core.markdown import table, text
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.train.events import EventLog, Samples

__all__ = ["bucket", "gcs_root", "s3_root"]

LEARNING, SPEED = (f"tensorboard/{name}/events.tfevents" for name in ("learning", "speed"))


def films(seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    return Samples(
        rng.integers(0, 255, (2, 5, 16, 16, 3), dtype=np.uint8),
        rng.uniform(-1, 1, (2, 800)).astype(np.float32),
        8000,
    )


def log_training(store: Store, key: str, *, time: float) -> bytes:
    """What a training stage logs: scalars, films at two steps, and its speed."""
    learning, speed = EventLog(store, f"{key}/{LEARNING}", 0), EventLog(store, f"{key}/{SPEED}", 0)
    for step in (10, 20):
        learning.scalars(step, {"loss": 1.0 / step, "validation/loss": float("nan")}, time=float(step))
        learning.samples(step, films(step), time=float(step))
        speed.scalars(step, {"clips_per_second": 90.0 + step, "steps": 10.0}, time=time)
    learning.flush()
    speed.flush()
    data = store.get_mark(f"{key}/{LEARNING}")
    assert data is not None
    return data


def test_films_and_speed_of_a_finished_training_are_shown(tmp_path):
    run = make_run(tmp_path)
    manifest = run.trained("base")
    log_training(run.store, "base/other", time=1.0)
    learned = log_training(run.store, "base/key", time=1.0) + b"cut short"
    events = run.store.put_bytes(learned, ".tfevents")
    run.store.set_mark(f"base/key/{LEARNING}", learned)
    run.task("train-base", manifest.model_copy(update={"files": {**manifest.files, "tensorboard": events}}))
    run.write()
    api = api_of(run)
    (stage,) = get(api, "training").stages
    assert [step.step for step in stage.samples] == [10, 20]
    assert len(stage.samples[0].clips) == 2
    (speed,) = stage.throughput
    assert (speed.title, speed.unit, speed.series[0].values) == (
        "clips_per_second",
        "clips/s",
        [100.0, 110.0],
    )
    film = stage.samples[1].clips[0]
    picture, sound = api.media("run-1", film.picture), api.media("run-1", film.sound)
    assert (picture.type, picture.data[:4]) == ("image/gif", b"GIF8")
    assert (sound.type, sound.data[:4]) == ("audio/wav", b"RIFF")


def test_curves_of_a_training_that_runs_come_from_its_logs(tmp_path):
    run = make_run(tmp_path, state="RUNNING")
    log_training(run.store, "base/earlier", time=1_700_000_000.0)
    log_training(run.store, "base/now", time=1_790_000_500.0)
    run.task("train-base", state="RUNNING", command=["python", "-m", "veo_core.train.base"], finished=None)
    run.write()
    (stage,) = get(api_of(run, alive=True), "training").stages
    assert stage.notes
    loss = next(curve for curve in stage.curves if curve.title == "loss")
    assert [series.values for series in loss.series] == [
        [pytest.approx(0.1), pytest.approx(0.05)],
        [None, None],
    ]


def test_motion_and_sound_of_a_clip_are_those_that_another_decoder_reads(tmp_path):
    run = make_run(tmp_path).whole()
    run.write()
    api = api_of(run)
    clip = get(api, "evaluation").clips[0]
    signals = get(api, f"signals/{clip.id}")
    with av.open(str(tmp_path / "store" / "objects" / clip.media[:2] / f"{clip.media}.mp4")) as file:
        luma = [f.to_ndarray(format="gray").astype(float) for f in file.decode(video=0)]
        file.seek(0)
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    expected = [np.abs(b - a).mean() / 255 for a, b in pairwise(luma)]
    assert signals.motion == pytest.approx(expected, abs=0.01)
    assert len(signals.waveform) == 400
    assert all(low <= high for low, high in signals.waveform)
    assert max(high for _, high in signals.waveform) == pytest.approx(sound.max(), abs=0.05)
    assert (signals.fps, signals.seconds) == (pytest.approx(8.0), pytest.approx(17 / 8))
    with pytest.raises(NotFoundError):
        get(api, "signals/" + "0" * 64)


def test_runs_in_a_bucket_are_shown_and_brought_up_to_date(tmp_path, bucket):
    run = make_run(tmp_path, state="RUNNING")
    run.store = store = Store(f"{bucket}/store")
    run.task("package", run.ledger_manifest("package", run.clips(2), []))
    run.write()
    fs, base = fsspec.core.url_to_fs(f"{bucket}/runs")
    fs.put(str(run.folder), f"{base}/run-1", recursive=True)
    library = library_of(f"{bucket}/runs", store=store)
    api = Api(library)
    document = get(api)
    assert document.summary.state == "RUNNING"
    assert any("is not known" in note for note in document.notes)
    assert document.tasks[0].counts["kept"] == 2
    assert "package: started" in get(api, "tasks/0/log").text
    clip = get(api, "clips").clips[0]
    assert api.thumbnail("run-1", clip.id)
    assert api.read("run-1", api.media("run-1", clip.media))[4:8] == b"ftyp"
    with pytest.raises(UsageError, match="--out"):
        write_report(library.open("run-1"))
    run.state = "SUCCEEDED"
    run.write()
    fs.put_file(str(run.folder / "run.json"), f"{base}/run-1/run.json")
    later = library_of(f"{bucket}/runs", store=store)
    assert get(Api(later)).summary.state == "SUCCEEDED"


def test_card_is_taken_apart_into_texts():
    said = "a | b <b>bold</b> & more"
    card = "\n\n".join(
        ["# Card", "Words\nthat go on.", f"- {text(said)}\n- second", table(("Name", "n"), [(said, 3)])]
    )
    found = list(blocks(card))
    assert [block.kind for block in found] == ["heading", "paragraph", "list", "table"]
    assert (found[0].level, found[1].text) == (1, "Words that go on.")
    assert found[2].items == ["a | b <b>bold</b> & more", "second"]
    assert (found[3].head, found[3].rows) == (["Name", "n"], [[said, "3"]])


def test_manifest_without_a_history_is_no_training(tmp_path):
    run = make_run(tmp_path)
    run.task("train-base", Manifest(stage="base", config_digest="c"))
    run.write()
    assert get(api_of(run), "training").stages == []
