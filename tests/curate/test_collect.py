import dataclasses
import json

import pytest
from curation import context, ledger_of
from pydantic import ValidationError

from veo_core.curate.collect import CollectConfig, run
from veo_core.errors import UsageError
from veo_core.records.clip import Source
from veo_core.stage import Part, PartFinished

MP4 = b"\0\0\0\x18ftypisom" + bytes(100)
ALLOWED = {
    "ml_training": "allowed",
    "licence_id": "CC0-1.0",
    "evidence": "source page",
    "caption": "a circle",
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "footage"
    path.mkdir()
    return path


def put(folder, name, content=MP4, sidecar=ALLOWED):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if sidecar is not None:
        path.with_suffix(".json").write_text(sidecar if isinstance(sidecar, str) else json.dumps(sidecar))


def collect(folder, store, key="key", **config):
    manifest = run(
        config=CollectConfig(folder=str(folder), max_failed_share=1.0, **config),
        context=context(store, "collect", key=key),
    )
    sources = store.get_table(manifest.tables["sources"], Source)
    return manifest, sources, {d.evidence.split(":")[0]: d for d in ledger_of(manifest, store)}


def test_file_comes_with_what_its_sidecar_says(folder, store):
    put(folder, "sub/a.mp4")
    _, (source,), _ = collect(folder, store)
    assert (source.name, source.origin) == ("sub/a.mp4", "folder")
    assert (source.licence_id, source.caption, source.ml_training) == ("CC0-1.0", "a circle", "allowed")
    assert store.get_bytes(source.file) == MP4


def test_files_with_equal_bytes_stay_two_items(folder, store):
    put(folder, "a.mp4")
    put(folder, "b.mp4")
    manifest, sources, _ = collect(folder, store)
    assert manifest.counts.received == manifest.counts.kept == 2
    assert len({source.source_id for source in sources}) == 2
    assert sources[0].file == sources[1].file


@pytest.mark.parametrize("sidecar", [None, {}, {"ml_training": "denied"}, {"ml_training": "unknown"}])
def test_file_without_permission_is_dropped_and_not_stored(folder, store, sidecar, tmp_path):
    put(folder, "a.mp4", sidecar=sidecar)
    _, sources, decisions = collect(folder, store)
    assert (decisions["a.mp4"].verdict, decisions["a.mp4"].rule) == ("dropped", "rights")
    assert sources == []
    assert not list((tmp_path / "store").rglob("*.mp4"))


def test_operator_may_let_unknown_rights_pass(folder, store):
    put(folder, "a.mp4", sidecar=None)
    _, sources, _ = collect(folder, store, permissions=["allowed", "unknown"])
    assert [source.ml_training for source in sources] == ["unknown"]


def test_file_above_the_size_limit_is_dropped_with_both_figures(folder, store):
    put(folder, "a.mp4")
    _, _, decisions = collect(folder, store, max_bytes=50)
    decision = decisions["a.mp4"]
    assert (decision.verdict, decision.rule) == ("dropped", "over_sized")
    assert (decision.value, decision.threshold) == (str(len(MP4)), "50")


@pytest.mark.parametrize("sidecar", ["{", '{"ml_training": "perhaps"}', '{"colour": "red"}', "[]"])
def test_file_with_an_unreadable_sidecar_fails(folder, store, sidecar):
    put(folder, "a.mp4", sidecar=sidecar)
    _, _, decisions = collect(folder, store)
    assert (decisions["a.mp4"].verdict, decisions["a.mp4"].rule) == ("failed", "sidecar")


def test_manifest_beside_a_file_that_cannot_be_read_fails_it(folder, store):
    put(folder, "a.mp4")
    (folder / "a.c2pa").write_bytes(b"may hold an opt-out")
    _, sources, decisions = collect(folder, store)
    assert (decisions["a.mp4"].verdict, decisions["a.mp4"].rule) == ("failed", "c2pa")
    assert sources == []


def test_media_are_told_by_suffix_or_first_bytes(folder, store):
    put(folder, "by-suffix.mkv", content=b"damaged")
    put(folder, "by-first-bytes", content=MP4)
    put(folder, "notes.txt", content=b"no video")
    put(folder, ".hidden.mp4")
    _, sources, _ = collect(folder, store)
    assert {source.name for source in sources} == {"by-suffix.mkv", "by-first-bytes"}


def test_missing_folder_and_folder_without_video_are_usage_errors(folder, store):
    with pytest.raises(UsageError, match="does not exist"):
        collect(folder / "none", store)
    put(folder, "notes.txt", content=b"no video", sidecar=None)
    with pytest.raises(UsageError, match="no video"):
        collect(folder, store)


@pytest.mark.parametrize("config", [{}, {"world": {"clips": 1}, "url_list": "a.csv"}])
def test_no_source_or_several_are_a_usage_error(store, config):
    with pytest.raises(UsageError, match="set one of"):
        collect("", store, **config)


def test_denied_rights_can_not_be_let_pass():
    with pytest.raises(ValidationError, match="permissions"):
        CollectConfig(folder="a", permissions=["allowed", "denied"])


def test_file_or_sidecar_that_changes_is_taken_in_anew(folder, store):
    put(folder, "a.mp4")
    _, (before,), _ = collect(folder, store)
    put(folder, "a.mp4", sidecar=ALLOWED | {"author": "Ada"})
    _, (said,), _ = collect(folder, store)
    assert (said.author, said.source_id) == ("Ada", before.source_id)
    put(folder, "a.mp4", content=MP4 + b"more")
    _, (after,), _ = collect(folder, store)
    assert after.source_id != before.source_id


@pytest.mark.parametrize("by", ["source", "content"])
def test_forgotten_footage_stays_out_under_any_name(folder, store, by):
    put(folder, "a.mp4")
    _, (source,), _ = collect(folder, store)
    store.set_mark(f"forgotten/{source.source_id if by == 'source' else source.file.sha256}", b"asked to")
    put(folder, "b.mp4")
    _, sources, decisions = collect(folder, store, key="other")
    assert decisions["a.mp4"].rule == "forgotten"
    assert [source.name for source in sources] == (["b.mp4"] if by == "source" else [])


def test_collecting_the_world_twice_gives_equal_manifests(store, tmp_path):
    config = CollectConfig(world={"clips": 5, "seed": 3})
    first = run(config=config, context=context(store, "collect", workers=1))
    again = run(config=config, context=context(store, "collect", workers=2, key="other"))
    assert first == again


def test_parts_do_their_share_and_the_whole_run_publishes(store):
    config = CollectConfig(world={"clips": 40, "seed": 3})
    for index in range(2):
        part = dataclasses.replace(context(store, "collect", workers=1), part=Part(index, 2))
        with pytest.raises(PartFinished):
            run(config=config, context=part)
    marks = store.marks()
    whole = run(config=config, context=context(store, "collect", workers=1))
    assert store.marks() == marks
    assert whole == run(config=config, context=context(store, "collect", workers=1, key="other"))
