import io
import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest
from curated_run import CuratedRun
from synthetic_run import clip_bytes

from veo_core.cli.main import main
from veo_core.data import export as exporting
from veo_core.storage import Store


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    made = CuratedRun(Store(str(folder / "store")), folder / "runs")
    media = made.store.put_bytes(clip_bytes(1), ".mp4")
    made.all = [clip.model_copy(update={"media": media}) for clip in made.all]
    made.kept = made.all[:-1]
    return made.write()


def veo_export(run, out, *arguments):
    places = ["--root", run.store.root, "--runs", str(run.runs)]
    return main(["export", "folder", str(out), *places, *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_export_writes_the_plain_layout(run, tmp_path):
    assert veo_export(run, tmp_path / "out") == 0
    files = contents(tmp_path / "out")
    for clip in run.packed.clips.values():
        for kind, suffixes in {"t2v_pairs": "mp4 wav txt", "i2v_pairs": "mp4 wav txt jpg"}.items():
            stem = f"{kind}/{clip.clip_id}."
            assert {name for name in files if name.startswith(stem)} == {stem + s for s in suffixes.split()}
            assert files[f"{stem}mp4"] == run.store.get_bytes(clip.media)
            assert files[f"{stem}txt"].decode().strip() == clip.annotation.caption
        assert files[f"i2v_pairs/{clip.clip_id}.jpg"] == run.store.get_bytes(clip.key_frames[0])
    lines = [json.loads(line) for line in files["i2v_pairs/metadata.jsonl"].splitlines()]
    assert {line["file_name"][:-4]: line["split"] for line in lines} == {
        name: clip.split for name, clip in run.packed.clips.items()
    }
    assert all(f"i2v_pairs/{line['image_file_name']}" in files for line in lines)


def test_sound_is_written_as_it_is_heard(run, tmp_path):
    veo_export(run, tmp_path / "out")
    path = next((tmp_path / "out" / "t2v_pairs").glob("*.wav"))
    with wave.open(io.BytesIO(path.read_bytes())) as sound:
        assert (sound.getframerate(), sound.getsampwidth()) == (48_000, 2)
        seconds = sound.getnframes() / 48_000
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, sound.getnchannels())
    assert seconds == pytest.approx(2.1, abs=0.05)
    spectrum = np.abs(np.fft.rfft(samples[4800:52800, 0]))
    assert np.argmax(spectrum) * 48_000 / 48_000 == pytest.approx(0.06 * 48_000 / (2 * np.pi), abs=2)


def test_every_clip_is_attributed_with_author_and_licence(run, tmp_path):
    veo_export(run, tmp_path / "out")
    lines = (tmp_path / "out" / "ATTRIBUTION.txt").read_text().splitlines()
    assert len(lines) == len(run.packed.clips)
    for line in lines:
        clip = run.packed.clips[line.split(":")[0]]
        assert f"by {clip.source.author}, {clip.source.source_url}. CC-BY-4.0 https://" in line


def test_split_chooses_the_clips(run, tmp_path):
    assert veo_export(run, tmp_path / "out", "--split", "validation") == 0
    held = {name for name, clip in run.packed.clips.items() if clip.split == "validation"}
    assert {path.stem for path in (tmp_path / "out" / "t2v_pairs").glob("*.mp4")} == held


def test_export_that_was_stopped_goes_on_and_ends_the_same(run, tmp_path, monkeypatch):
    veo_export(run, tmp_path / "whole")
    put, left = exporting._put, [30]

    def failing(path, data):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        put(path, data)

    monkeypatch.setattr(exporting, "_put", failing)
    assert veo_export(run, tmp_path / "out") == 130
    monkeypatch.undo()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.mp4")}
    assert done
    assert veo_export(run, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    finished = [path for path in done if os.path.exists(path.with_suffix(".wav"))]
    assert any(path.stat().st_mtime_ns == done[path] for path in finished)


def test_folder_of_something_else_is_refused(run, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    assert veo_export(run, tmp_path / "out") == 2
    assert "is not empty and holds no export" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_folder_of_another_export_is_refused(run, tmp_path, capsys):
    veo_export(run, tmp_path / "out", "--split", "train")
    assert veo_export(run, tmp_path / "out") == 2
    assert "holds an export of other clips" in capsys.readouterr().err


def test_manifest_names_the_dataset_without_a_run(run, tmp_path, capsys):
    path = tmp_path / "dataset.json"
    path.write_bytes(run.packed.manifest.to_bytes())
    assert veo_export(run, tmp_path / "out", "--manifest", str(path)) == 0
    path.write_bytes(run.manifests()["prepare"].to_bytes())
    assert veo_export(run, tmp_path / "other", "--manifest", str(path)) == 2
    assert "is no packaged dataset" in capsys.readouterr().err
