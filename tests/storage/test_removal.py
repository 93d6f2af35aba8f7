"""Listing and deleting, and `veo forget` on a bucket."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lineage"))

from curated_run import CuratedRun

from veo_core.lineage.forget import Forgetting, Request
from veo_core.storage import Store


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return Store(str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}-removal")


def test_objects_and_marks_are_listed_until_they_are_removed(store):
    assert store.objects() == store.marks() == []
    refs = [store.put_bytes(text, ".txt") for text in (b"one", b"two")]
    store.set_mark("stage/key/1", b"done")
    assert store.objects() == sorted(ref.path for ref in refs)
    assert store.marks() == ["stage/key/1"]
    for _ in range(2):
        store.remove_object(refs[0].path)
        store.remove_mark("stage/key/1")
    assert store.objects() == [refs[1].path]
    assert store.get_mark("stage/key/1") is None


@pytest.mark.thorough
def test_source_is_forgotten_in_a_bucket(bucket, tmp_path):
    run = CuratedRun(Store(bucket), tmp_path / "runs", count=14).write()
    clip = run.kept[3]
    request = Request(when="2026-11-25T00:00:00Z")
    removal = Forgetting.of(clip.source.name, request, runs=run.runs, store=run.store).execute(
        lambda stale: 0
    )
    assert removal.runs == ["run-1"]
    left = run.store.objects()
    assert not [path for path in left if clip.media.sha256 in path or clip.source.file.sha256 in path]
    data = b"".join(run.store._fs.cat_file(f"{run.store._base}/{path}") for path in left)
    assert run.kept[4].clip_id.encode() in data
    assert f"prepared {clip.source.source_id}".encode() not in data
    assert run.store.get_mark(f"forgotten/{clip.source.source_id}")
    assert run.store.get_mark(f"judge/{clip.clip_id[:2]}/{clip.clip_id}") is None
