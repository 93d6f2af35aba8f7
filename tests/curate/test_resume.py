"""A stage that is killed goes on where it was, and gives what it would have given."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from curation import PREPARE, manifest_of

from benchmarks.curate.judge import JudgeProcess
from veo_core.records.clip import Clip, Source
from veo_core.records.manifest import Manifest
from veo_core.storage import Store

CLIPS = 64


class Stage:
    """A stage of curation as a command, in a process group of its own."""

    def __init__(self, name: str, store: Store, folder: Path, flag: str, manifest: Manifest, config: dict):
        path = folder / f"{name}-input.json"
        path.write_bytes(manifest.to_bytes())
        self.output = folder / f"{name}.json"
        self.command = [
            sys.executable, "-m", f"veo_core.curate.{name}", "--root", store.root, f"--{flag}", str(path),
            "--config", json.dumps(config), "--manifest", str(self.output),
        ]  # fmt: skip

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(self.command, start_new_session=True, stderr=subprocess.DEVNULL)

    def kill_when(self, reached) -> None:
        process = self.start()
        while not reached():
            assert process.poll() is None, "the stage ended before it could be killed"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def finish(self) -> bytes:
        subprocess.run(self.command, check=True, timeout=300)
        return self.output.read_bytes()


def marks(store: Store, kind: str) -> list[Path]:
    return [
        path for path in Path(store.root, "marks", kind).rglob("*") if path.is_file() and path.name[0] != "."
    ]


@pytest.fixture
def slow_judge(tmp_path, monkeypatch):
    with JudgeProcess(tmp_path) as judge:
        judge.set_faults(slow=1.0, slow_seconds=0.5)
        monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
        yield judge


@pytest.mark.thorough
def test_describe_when_killed_repeats_no_finished_request(curated, slow_judge, tmp_path):
    clips = manifest_of(curated.store, curated.clips("dedup")[:CLIPS])
    config = {"judge": {"max_in_flight": 4}, "prompt": "What is seen?"}
    before = len(marks(curated.store, "judge"))
    stage = Stage("describe", curated.store, tmp_path, "clips", clips, config)
    for share in (0.25, 0.6):
        stage.kill_when(lambda share=share: len(marks(curated.store, "judge")) - before >= share * CLIPS)
    answered = len(marks(curated.store, "judge")) - before
    assert 0.6 * CLIPS <= answered < CLIPS
    requests = slow_judge.stats()["requests"]
    slow_judge.set_faults()
    resumed = stage.finish()
    new = sum(slow_judge.stats()["requests"].values()) - sum(requests.values())
    assert new == CLIPS - answered

    fresh = Store(str(tmp_path / "fresh"))
    copy_objects(curated.store, fresh, clips)
    assert Stage("describe", fresh, tmp_path, "clips", clips, config).finish() == resumed


def copy_objects(source: Store, target: Store, manifest: Manifest) -> None:
    table = manifest.tables["clips"]
    target.put_bytes(source.get_bytes(table), ".parquet")
    for clip in source.get_table(table, Clip):
        for frame in clip.key_frames:
            target.put_bytes(source.get_bytes(frame), ".jpg")


@pytest.mark.thorough
def test_prepare_when_killed_goes_on_with_the_shards_that_are_left(curated, tmp_path):
    collected = curated.store.get_table(curated.manifests["collect"].tables["sources"], Source)
    table = curated.store.put_table(collected[:CLIPS], Source)
    sources = Manifest(stage="collect", config_digest="", rows=CLIPS, tables={"sources": table})
    stage = Stage("prepare", curated.store, tmp_path, "sources", sources, PREPARE.model_dump(mode="json"))
    before = set(marks(curated.store, "prepare"))
    stage.kill_when(lambda: len(marks(curated.store, "prepare")) > len(before))
    done = {path: path.stat().st_mtime_ns for path in set(marks(curated.store, "prepare")) - before}
    resumed = stage.finish()
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(set(marks(curated.store, "prepare")) - before) > len(done)

    for path in set(marks(curated.store, "prepare")) - before:
        path.unlink()
    assert stage.finish() == resumed
