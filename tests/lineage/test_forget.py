"""Forgetting is proven by looking at every byte below the store and the runs' folder."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from curated_run import CuratedRun
from packing import Packed
from synthetic_run import SyntheticRun

from veo_core.cli.main import main
from veo_core.data import decoded, latents
from veo_core.data.latents import LatentClip, LatentShard
from veo_core.lineage.evidence import gather
from veo_core.lineage.forget import Forgetting, Request
from veo_core.provenance.copies import SignedCopy, find_copy, put_copy
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip
from veo_core.records.generated import GeneratedClip
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, RunRecord
from veo_core.runner.cache import CachedArtifact, CacheStore, Entry, KeyParts
from veo_core.runner.runs import load_run
from veo_core.storage import Store

REQUEST = Request(when="2026-11-25T00:00:00Z", why="asked by mail", by="Bob")


class Place:
    """A curated run, one that trained on its dataset, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = CuratedRun(Store(str(folder / "store")), folder / "runs").write()
        self.store, self.runs = self.run.store, self.run.runs
        self.dataset = self.run.packed.manifest
        self._train()
        self._cache()
        packed = self.run.packed.clips.values()
        self.target = next(clip for clip in packed if clip.split == "train")

    def _train(self) -> None:
        folder = self.runs / "run-2"
        folder.mkdir()
        run = SyntheticRun(folder, self.store)
        run.task("package", self.dataset)
        used = {"dataset": [ArtifactRecord(uri="dataset", sha256=self.dataset.digest)]}
        clips = [
            LatentClip(
                clip_id=clip.clip_id,
                split=clip.split,
                bucket=clip.bucket,
                row=row,
                caption=clip.annotation.caption,
                short_caption="",
            )
            for row, clip in enumerate(self.run.packed.clips.values())
        ]
        self.shard = self.store.put_bytes(b"encoded", latents.SUFFIX)
        self.unfinished = self.store.put_bytes(b"encoded by a run that was killed", latents.SUFFIX)
        self.decoded = self.store.put_bytes(b"pictures", decoded.SUFFIX)
        shard = LatentShard(part="base", split="train", bucket="b", clips=len(clips), file=self.shard)
        self.latents = Manifest(
            stage="encode_latents",
            config_digest="c",
            tables={
                "latents": self.store.put_table([shard], LatentShard),
                "captions": self.store.put_table(clips, LatentClip),
            },
            files={"layout": self.store.put_bytes(b"layout", ".json")},
            shards=[self.shard],
        )
        run.task("encode-latents", self.latents, inputs=used)
        target = next(clip for clip in self.run.packed.clips.values() if clip.split == "train")
        self.sounded = self.store.put_bytes(b"its pictures with another sound", ".mp4")
        self.signed = self.store.put_bytes(b"its pictures with another sound, signed", ".mp4")
        put_copy(self.store, self.sounded.sha256, SignedCopy(statement="s" * 64, file=self.signed))
        generated = [
            GeneratedClip(
                clip_id=media.sha256,
                prompt=prompt,
                split=split,
                mode=mode,
                seed=0,
                media=media,
                width=64,
                height=64,
                fps=8.0,
                frames=17,
                seconds=2.0,
                audio_rate=48_000,
            )
            for media, prompt, split, mode in (
                (self.sounded, target.annotation.caption, "validation", "v2a"),
                (self.store.put_bytes(b"of a prompt", ".mp4"), "a red circle", "held_out", "t2v"),
            )
        ]
        table = self.store.put_table(generated, GeneratedClip)
        made = Manifest(stage="generate", config_digest="c", rows=2, tables={"generated": table})
        run.task("generate", made)
        self.log = folder / run.tasks[-1].log
        self.log.write_text(f"generate: given {target.source.name}\ngenerate: done\n")
        run.task("evaluate", None, state="FAILED", reason=f"{target.source.name}: cannot be read")
        run.task("register", None, output_parameters={"model": "veo-test@3"})
        run.write()

    def _cache(self) -> None:
        cache = CacheStore(self.cache)
        for evidence in (gather(folder, self.store) for folder in sorted(self.runs.iterdir())):
            for stage in evidence.stages:
                if stage.manifest is not None:
                    kept = {}
                    for name, (artifact,) in stage.task.outputs.items():
                        path = self.cache / "objects" / artifact.sha256[:2] / artifact.sha256
                        path.parent.mkdir(exist_ok=True)
                        path.write_bytes(Path(artifact.uri).read_bytes())
                        kept[name] = CachedArtifact(sha256=artifact.sha256, files={"": artifact.sha256})
                    parts = KeyParts(component=stage.task.name, command=[evidence.folder.name])
                    entry = Entry(run_id="r", task=stage.task.name, artifacts=kept)
                    body = entry.to_bytes()
                    target = self.cache / "entries" / parts.digest
                    target.write_bytes(sha256_bytes(body).encode() + b"\n" + body)
        assert cache.folder.is_dir()

    @property
    def cache(self) -> Path:
        return self.folder / "store" / "cache"

    def cached_tasks(self) -> set[str]:
        bodies = [path.read_bytes().partition(b"\n")[2] for path in (self.cache / "entries").iterdir()]
        return {Entry.model_validate_json(body).task for body in bodies}

    def forgetting(self, query: str) -> Forgetting:
        return Forgetting.of(query, REQUEST, runs=self.runs, store=self.store)

    def forget(self, query: str):
        return self.forgetting(query).execute(CacheStore(self.cache).discard)

    def manifest(self, run: str, stage: str) -> Manifest:
        stages = gather(self.runs / run, self.store).stages
        (found,) = [s for s in stages if s.manifest is not None and s.task.name == stage]
        return found.manifest

    def everything(self) -> dict[str, bytes]:
        """Every file below the store and the runs; tables and tars as what they hold."""
        found = {}
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            data = path.read_bytes()
            found[str(path.relative_to(self.folder))] = data
            if data.startswith(b"PAR1"):
                rows = pq.read_table(io.BytesIO(data)).to_pylist()
                found[f"{path} rows"] = repr(rows).encode()
        return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def holding(files: dict[str, bytes], needle: bytes) -> list[str]:
    return [name for name, data in files.items() if needle in data]


def test_nothing_of_a_forgotten_source_is_left_anywhere(place):
    clip, store = place.target, place.store
    secrets = [
        store.get_bytes(clip.source.file),
        store.get_bytes(clip.media),
        store.get_bytes(clip.key_frames[0]),
        clip.annotation.caption.encode(),
        clip.description.text.encode(),
        clip.source.name.encode(),
        clip.source.author.encode() + b"'",
        f"signature of {clip.clip_id}".encode(),
        clip.media.sha256.encode(),
    ]
    assert all(holding(place.everything(), secret) for secret in secrets)
    place.forget(clip.source.source_id)
    left = place.everything()
    assert [holding(left, secret) for secret in secrets] == [[] for _ in secrets]
    notes = {"store/marks/forgotten/" + name for name in (clip.source.source_id, clip.source.file.sha256)}
    assert notes <= left.keys()
    assert set(holding(left, clip.source.file.sha256.encode())) == {
        name for name in notes if clip.source.file.sha256.encode() in left[name]
    }


def test_what_platforms_showed_of_a_changed_stage_goes_with_its_old_manifest(place):
    before = load_run(place.runs, "run-1").tasks[-1].outputs
    assert place.target.clip_id in Path(before["html"][0].uri).read_text()
    place.forget(place.target.source.source_id)
    after = load_run(place.runs, "run-1").tasks[-1].outputs
    assert after["manifest"][0].sha256 == place.manifest("run-1", "package").digest
    for name in ("html", "markdown"):
        assert after[name][0].sha256 == ""
        assert not Path(after[name][0].uri).exists()


def test_datasets_are_whole_again_without_the_source(place):
    before = Packed(place.store, place.dataset)
    clips, trained_on = before.clips, before.spec.largest.train_clips
    place.forget(place.target.source.name)
    after = Packed(place.store, place.manifest("run-1", "package"))
    assert after.manifest.digest != place.dataset.digest
    assert after.manifest == place.manifest("run-2", "package")
    assert after.clips == {name: c for name, c in clips.items() if name != place.target.clip_id}
    assert {pair.clip_id for pair in after.pairs} == set(after.clips)
    held = []
    for shard in after.shards:
        with tarfile.open(fileobj=io.BytesIO(place.store.get_bytes(shard.file))) as tar:
            names = [name.partition(".")[0] for name in tar.getnames() if name.endswith(".mp4")]
        assert len(names) == shard.clips
        held += names
    assert sorted(held) == sorted(after.clips)
    assert after.manifest.rows == len(after.clips)
    assert after.manifest.metrics["train_clips"] == trained_on - 1
    assert after.spec.largest.train_clips == trained_on - 1
    for ref in (*after.manifest.files.values(), *after.manifest.shards, *after.manifest.tables.values()):
        place.store.get_bytes(ref)


def test_counts_still_add_up_and_the_ledger_keeps_nothing_but_ids(place):
    before = {stage: place.manifest("run-1", stage) for stage in ("collect", "prepare", "dedup", "package")}
    place.forget(place.target.source.source_id)
    for stage, old in before.items():
        new = place.manifest("run-1", stage)
        assert new.counts.kept == old.counts.kept - 1
        assert new.counts.dropped == old.counts.dropped + 1
        assert new.rows == old.rows - 1
        ledger = place.store.get_table(new.tables["ledger"], Decision)
        assert len(ledger) == new.counts.received + new.counts.added
        (own,) = [d for d in ledger if d.source == place.target.source.source_id]
        assert (own.verdict, own.rule, own.evidence) == ("dropped", "forgotten", "")


def test_run_record_notes_the_change_and_names_the_new_digests(place):
    old = place.manifest("run-1", "package").digest
    place.forget(place.target.source.source_id)
    for name in ("run-1", "run-2"):
        record = load_run(place.runs, name)
        (change,) = record.changes
        assert "asked by mail" in change.why
        assert change.digests[old] == place.manifest(name, "package").digest
        evidence = gather(place.runs / name, place.store)
        assert not evidence.notes


def test_latents_of_a_dataset_with_the_source_are_removed(place):
    place.forget(place.target.source.source_id)
    manifest = place.manifest("run-2", "encode-latents")
    assert list(manifest.files) == ["layout"]
    assert not manifest.tables
    assert not manifest.shards
    objects = (place.shard, place.unfinished, place.decoded, *place.latents.tables.values())
    assert not any(place.store.has(ref) for ref in objects)


def test_clips_generated_from_its_pictures_are_removed_with_their_signed_files(place):
    place.forget(place.target.source.source_id)
    manifest = place.manifest("run-2", "generate")
    (left,) = place.store.get_table(manifest.tables["generated"], GeneratedClip)
    assert left.mode == "t2v"
    assert not place.store.has(place.sounded)
    assert not place.store.has(place.signed)
    assert find_copy(place.store, place.sounded.sha256) is None


def test_lines_about_it_leave_the_logs_and_the_record(place):
    place.forget(place.target.source.source_id)
    removed = "[line removed: its source was forgotten]"
    assert place.log.read_text() == f"{removed}\ngenerate: done\n"
    (reason,) = [task.reason for task in load_run(place.runs, "run-2").tasks if task.state == "FAILED"]
    assert reason == removed


def test_results_that_would_bring_the_source_back_leave_the_cache(place):
    assert "collect" in place.cached_tasks()
    other = next(c for c in place.run.packed.clips.values() if c.clip_id != place.target.clip_id)
    place.forget(place.target.source.source_id)
    assert place.cached_tasks() == set()
    assert place.store.get_mark(f"judge/{other.clip_id[:2]}/{other.clip_id}")
    assert place.store.get_mark(f"judge/{place.target.clip_id[:2]}/{place.target.clip_id}") is None


def test_what_other_sources_share_stays(tmp_path):
    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs")
    frame = run.all[0].key_frames[0]
    run.all[5] = run.all[5].model_copy(update={"key_frames": [frame]})
    run.kept[5] = run.all[5]
    run.write()
    removal = Forgetting.of(run.all[0].source.source_id, REQUEST, runs=run.runs, store=run.store).execute(
        lambda stale: 0
    )
    assert removal.shared == 1
    assert run.store.get_bytes(frame)
    assert not (Path(run.store.root) / run.all[0].media.path).exists()


def test_other_names_of_the_same_bytes_are_forgotten_too(tmp_path):
    from packing import make_clip

    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs")
    twin = make_clip(run.store, 200, source="renamed.mp4", content=run.all[0].source.name)
    twin = run._described(twin)
    run.all.append(twin)
    run.kept.append(twin)
    run.write()
    forgetting = Forgetting.of("renamed.mp4", REQUEST, runs=run.runs, store=run.store)
    removal = forgetting.execute(lambda stale: 0)
    assert set(removal.sources) == {twin.source.source_id, run.all[0].source.source_id}


def test_models_and_look_alikes_are_named(place):
    original = place.run.original
    removal = place.forget(original.source.source_id)
    assert removal.others == [place.run.copy.clip_id]
    assert {(t.run, tuple(t.models)) for t in removal.trainings} == {
        ("run-1", ()),
        ("run-2", ("veo-test@3",)),
    }


def test_dry_run_changes_nothing(place, capsys):
    before = place.everything()
    arguments = ["--root", place.store.root, "--runs", str(place.runs)]
    assert main(["forget", place.target.source.name, "--dry-run", *arguments]) == 0
    assert place.everything() == before
    told = capsys.readouterr().out
    assert "would be removed:" in told
    assert "trained on it: veo-test@3 (run run-2" in told


def test_without_confirmation_nothing_is_changed(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    before = place.everything()
    arguments = ["--root", place.store.root, "--runs", str(place.runs)]
    assert main(["forget", place.target.source.name, *arguments]) == 2
    assert "confirm with --yes" in capsys.readouterr().err
    assert place.everything() == before


def test_command_forgets_and_a_second_time_says_so(place, capsys):
    arguments = ["--yes", "--why", "asked", "--root", place.store.root, "--runs", str(place.runs)]
    source = place.target.source.source_id
    assert main(["forget", source, *arguments]) == 0
    assert json.loads(place.store.get_mark(f"forgotten/{source}"))["why"] == "asked"
    assert not holding(place.everything(), place.target.annotation.caption.encode())
    capsys.readouterr()
    assert main(["why", source, *arguments[3:]]) == 0
    told = capsys.readouterr().out
    assert "FORGOTTEN" in told
    assert "seen by        veo-test@3 (run run-2, " in told


def test_clip_is_answered_with_its_source(place, capsys):
    arguments = ["--root", place.store.root, "--runs", str(place.runs)]
    assert main(["forget", place.target.clip_id, *arguments]) == 2
    assert place.target.source.source_id in capsys.readouterr().err


class KilledError(BaseException):
    """Stands for SIGKILL: nothing below it runs on."""


class FailingStore(Store):
    """A store that dies at its `limit`th change."""

    limit = 10**9

    def _change(self) -> None:
        type(self).limit -= 1
        if type(self).limit < 0:
            raise KilledError

    def _write(self, path, data):
        self._change()
        super()._write(path, data)

    def _upload(self, source, path):
        self._change()
        super()._upload(source, path)

    def _remove(self, path):
        self._change()
        super()._remove(path)


@pytest.mark.thorough
def test_attempt_that_was_killed_anywhere_is_finished_by_the_next_one(tmp_path):
    def attempt(folder: Path, steps: int) -> bool:
        place = Place(folder)
        store = FailingStore(place.store.root)
        FailingStore.limit = steps
        arguments = (place.target.source.source_id, REQUEST)
        try:
            Forgetting.of(*arguments, runs=place.runs, store=store).execute(CacheStore(place.cache).discard)
            killed = False
        except KilledError:
            killed = True
        FailingStore.limit = 10**9
        if killed and place.store.get_mark(f"forgetting/{place.target.source.source_id}") is not None:
            place.forget(place.target.source.source_id[:12])
        elif killed:
            place.forget(place.target.source.source_id)
        left = place.everything()
        assert not holding(left, place.target.annotation.caption.encode()), steps
        assert not holding(left, place.target.media.sha256.encode()), steps
        assert not any("forgetting/" in name for name in left), steps
        for run in ("run-1", "run-2"):
            evidence = gather(place.runs / run, place.store)
            assert not evidence.notes, steps
            assert len(evidence.run.changes) >= 1, steps
            for ref in place.manifest(run, "package").tables.values():
                place.store.get_bytes(ref)
        assert not place.manifest("run-2", "encode-latents").shards, steps
        clips = place.store.get_table(place.manifest("run-1", "package").tables["clips"], Clip)
        assert len(clips) == len(place.run.kept) - 1
        return killed

    steps = [1, 6, 15, 24, 33, 45]
    outcomes = [attempt(tmp_path / str(count), count) for count in steps]
    assert outcomes[0]
    assert not attempt(tmp_path / "whole", 10**6)


def test_record_without_changes_is_read(tmp_path):
    run = CuratedRun(Store(str(tmp_path / "store")), tmp_path / "runs").write()
    value = json.loads((run.folder / "run.json").read_bytes())
    value.pop("changes")
    assert RunRecord.model_validate(value).changes == []
