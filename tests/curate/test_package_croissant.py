"""The dataset's description, read by the reference library of the format, without a network."""

import json
import subprocess
import sys

import pytest
from packing import make_clips, pack

READ = """
import hashlib, json, sys, warnings
warnings.simplefilter("ignore")
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1])
issues = dataset.metadata.ctx.issues
records = {}
def show(key, value):
    if not isinstance(value, bytes):
        return value if isinstance(value, (str, int, float)) else type(value).__name__
    return hashlib.sha256(value).hexdigest() if key == "videos/content" else value.decode()
for name in ("clips", "samples", "first_frames", "videos"):
    records[name] = [
        {key.split("/")[-1]: show(key, value) for key, value in row.items()}
        for row in dataset.records(name)
    ]
print(json.dumps({"errors": sorted(issues.errors), "warnings": sorted(issues.warnings),
                  "version": str(dataset.metadata.ctx.conforms_to), "records": records}))
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    from veo_core.storage import Store

    store = Store(str(tmp_path_factory.mktemp("croissant")))
    return pack(store, make_clips(store, 24), clips_per_shard=8)


@pytest.fixture(scope="module")
def read(packed, tmp_path_factory):
    path = f"{packed.store.root}/{packed.manifest.files['croissant.json'].path}"
    cache = tmp_path_factory.mktemp("cache")
    done = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True,
        env={"CROISSANT_CACHE": str(cache), "PATH": "", "HOME": str(cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_description_conforms_to_croissant_1_1(read):
    assert read["errors"] == []
    assert "V_1_1" in read["version"]


def test_table_is_read_through_the_description(packed, read):
    rows = {row["clip_id"]: row for row in read["records"]["clips"]}
    assert rows.keys() == packed.clips.keys()
    for clip_id, clip in packed.clips.items():
        row = rows[clip_id]
        assert (row["split"], row["bucket"], row["shard"]) == (clip.split, clip.bucket, clip.shard)
        assert (row["caption"], row["width"], row["licence_id"]) == (
            clip.annotation.caption, 64, "CC-BY-4.0",
        )  # fmt: skip


def test_shards_are_read_through_the_description(packed, read):
    clips = packed.clips
    samples = {row["clip_id"]: json.loads(row["content"]) for row in read["records"]["samples"]}
    assert {name: sample["caption"] for name, sample in samples.items()} == {
        name: clip.annotation.caption for name, clip in clips.items()
    }
    videos = {row["clip_id"]: row["content"] for row in read["records"]["videos"]}
    assert videos == {name: clip.media.sha256 for name, clip in clips.items()}
    pictures = {row["clip_id"]: row["content"] for row in read["records"]["first_frames"]}
    assert pictures.keys() == clips.keys()
    assert set(pictures.values()) == {"JpegImageFile"}


def test_every_file_is_named_with_its_digest(packed):
    value = json.loads(packed.store.get_bytes(packed.manifest.files["croissant.json"]))
    files = {f["name"]: f["sha256"] for f in value["distribution"] if f["@type"] == "cr:FileObject"}
    assert files == {
        "clips.parquet": packed.manifest.tables["clips"].sha256,
        **{shard.name: shard.file.sha256 for shard in packed.shards},
    }
    assert value["license"] == ["https://creativecommons.org/licenses/by/4.0/"]
    assert value["creator"] == [{"@type": "sc:Person", "name": "Ada"}]


def test_cards_tell_sources_licences_and_what_every_stage_decided(tmp_path):
    from veo_core.records.ledger import Outcome
    from veo_core.storage import Store

    store = Store(str(tmp_path))
    earlier = [
        Outcome(stage="collect", verdict="kept", rule="", items=30),
        Outcome(stage="collect", verdict="dropped", rule="rights | none", items=2),
    ]
    clips = [*make_clips(store, 10), *make_clips(store, 1, first=10, audio_seconds=0.0)]
    measured = {"filter": "dedup", "precision": 0.9, "recall": 0.8, "n": 50, "evidence": "bench 1"}
    packed = pack(store, clips, tables={"funnel": store.put_table(earlier, Outcome)}, filters=[measured])
    files = packed.manifest.files
    card = store.get_bytes(files["card.md"]).decode()
    assert "| collect | 32 | 30 | 2 dropped: rights \\| none |" in card
    assert "| package | 11 | 10 | 1 dropped: no_sound |" in card
    assert "| dedup | 0.900 | 0.800 | 50 | bench 1 |" in card
    assert "| https://creativecommons.org/licenses/by/4.0/ | 10 |" in card
    assert "| folder | 10 |" in card
    steps = json.loads(store.get_bytes(files["croissant.json"]))["rai:dataPreprocessingProtocol"]
    assert "collect: 30 of 32 kept; 2 dropped: rights | none." in steps
    assert "Filter dedup: precision 0.900, recall 0.800 on 50 clips (bench 1)." in steps
