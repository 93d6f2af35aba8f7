"""The whole of curation against the world's truth (bar 7 of the spine)."""

import io
import itertools
import json
import tarfile

import av
import numpy as np
import pytest
from curation import STAGES

from benchmarks.curate.accuracy import NAMES
from veo_core.records.clip import Pair, Source
from veo_core.world.truth import DUPLICATES


@pytest.mark.parametrize("stage", STAGES)
def test_counts_reconcile_at_every_stage(curated, stage):
    counts = curated.manifests[stage].counts
    out = counts.kept + counts.dropped + counts.failed + counts.quarantined
    assert counts.received + counts.added == out == len(curated.ledger(stage))


def test_each_stage_receives_what_the_one_before_kept(curated):
    manifests = [curated.manifests[stage] for stage in STAGES]
    assert manifests[0].counts.received == curated.spec.clips
    for before, after in itertools.pairwise(manifests):
        assert after.counts.received == before.counts.kept == before.rows


@pytest.mark.parametrize("stage", STAGES)
def test_every_item_has_one_decision(curated, stage):
    items = [decision.item for decision in curated.ledger(stage)]
    assert len(items) == len(set(items))


@pytest.mark.parametrize("stage", STAGES[1:])
def test_kept_clips_are_those_that_the_ledger_keeps(curated, stage):
    kept = {decision.item for decision in curated.ledger(stage) if decision.verdict == "kept"}
    assert {clip.clip_id for clip in curated.clips(stage)} == kept


@pytest.mark.parametrize("flaw", NAMES)
def test_flaw_is_found_by_its_rule(curated, flaw):
    fates = curated.fates()
    for name in curated.names_with(flaw):
        (fate,) = fates[name]
        assert (fate.stage, fate.rule) in NAMES[flaw]
        assert fate.verdict == ("failed" if fate.rule == "undecodable" else "dropped")


def test_footage_without_a_flaw_is_kept(curated):
    """One of a group of copies is kept, whichever it is."""
    fates = curated.fates()
    for name in curated.names_with(None, "variable_frame_rate", "two_shots"):
        rules = {decision.rule for decision in fates[name]}
        assert rules <= {"", "near_duplicate", "exact_duplicate"}


def test_two_shots_become_two_clips(curated):
    clips = [clip for clip in curated.clips("prepare") if curated.flaw_of(clip) == "two_shots"]
    assert len(clips) == 2 * len(curated.names_with("two_shots")) > 0
    assert curated.manifests["prepare"].counts.added == len(clips) / 2


def scene_of(curated, clip):
    partner = curated.plan_of(clip.source.name).partner
    return (clip.source.name if partner is None else f"clip-{partner:06d}.mp4", clip.shot)


def test_one_copy_of_each_scene_is_kept_and_no_scene_is_lost(curated):
    before = {scene_of(curated, clip) for clip in curated.clips("describe")}
    after = [scene_of(curated, clip) for clip in curated.clips("dedup")]
    assert len(after) == len(set(after))
    assert set(after) == before
    copies = [clip for clip in curated.clips("describe") if curated.flaw_of(clip) in DUPLICATES]
    assert len(curated.clips("describe")) > len(after) > 0
    assert copies


def test_ledger_of_dedup_names_the_partner_and_the_score(curated):
    clips = {clip.clip_id: clip for clip in curated.clips("describe")}
    near = [decision for decision in curated.ledger("dedup") if decision.rule == "near_duplicate"]
    assert near
    for decision in near:
        partner = decision.evidence.split()[2]
        assert scene_of(curated, clips[partner]) == scene_of(curated, clips[decision.item])
        assert float(decision.value) >= float(decision.threshold)


def test_prepared_clips_are_what_the_specification_says(curated, tmp_path):
    """Read back with PyAV alone."""
    for clip in curated.clips("prepare")[::7]:
        path = curated.store.local_path(clip.media, tmp_path)
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
            assert min(frames[0].width, frames[0].height) == 64
            assert [round(frame.time * 8) for frame in frames] == list(range(17))
        with av.open(str(path)) as container:
            samples = [frame.to_ndarray() for frame in container.decode(audio=0)]
            assert container.streams.audio[0].rate == 48_000
        sound = sum(piece.shape[1] for piece in samples) / 48_000
        assert abs(sound - 17 / 8) <= 1 / 8
        assert (clip.facts.frames, clip.facts.fps) == (17, 8.0)


def test_captions_come_from_the_judge_and_name_it(curated):
    for clip in curated.clips("annotate"):
        assert clip.description is not None
        assert clip.annotation is not None
        assert clip.annotation.caption
        assert clip.annotation.judge == "world-detector-1"
        assert not clip.annotation.caption.lower().startswith("the video")


def test_shards_hold_each_kept_clip_once_with_its_files(curated):
    manifest = curated.manifests["package"]
    clips = {clip.clip_id: clip for clip in curated.clips("package")}
    seen = []
    shards = [("train", ref) for ref in manifest.shards]
    shards += [("validation", ref) for name, ref in manifest.files.items() if name.startswith("validation")]
    for split, ref in shards:
        with tarfile.open(fileobj=io.BytesIO(curated.store.get_bytes(ref))) as tar:
            names = tar.getnames()
            assert names == sorted(names)
            for name in names[::3]:
                clip = clips[name.split(".")[0]]
                seen.append(clip.clip_id)
                sample = json.load(tar.extractfile(f"{clip.clip_id}.json"))
                assert (sample["split"], clip.split) == (split, split)
                assert sample["caption"] == clip.annotation.caption
                media = tar.extractfile(f"{clip.clip_id}.mp4").read()
                assert media == curated.store.get_bytes(clip.media)
                assert tar.extractfile(f"{clip.clip_id}.jpg").read()[:2] == b"\xff\xd8"
    assert sorted(seen) == sorted(clips)


def test_shards_are_read_by_webdataset(curated, tmp_path):
    import webdataset

    ref = curated.manifests["package"].shards[0]
    path = curated.store.local_path(ref, tmp_path)
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert samples
    assert {"mp4", "json", "jpg"} <= set(samples[0])


def test_pairs_offer_each_clip_with_and_without_its_first_frame(curated):
    manifest = curated.manifests["package"]
    pairs = curated.store.get_table(manifest.tables["pairs"], Pair)
    clips = {clip.clip_id for clip in curated.clips("package")}
    for mode in ("t2v", "i2v"):
        assert {pair.clip_id for pair in pairs if pair.mode == mode} == clips
    assert len(pairs) == 2 * len(clips)
    assert all((pair.first_frame is None) == (pair.mode == "t2v") for pair in pairs)


def test_first_frame_of_a_pair_is_the_first_frame_of_its_clip(curated, tmp_path):
    import cv2

    manifest = curated.manifests["package"]
    pairs = curated.store.get_table(manifest.tables["pairs"], Pair)
    for pair in [pair for pair in pairs if pair.mode == "i2v"][::9]:
        picture = cv2.imdecode(
            np.frombuffer(curated.store.get_bytes(pair.first_frame), np.uint8), cv2.IMREAD_COLOR_RGB
        )
        with av.open(str(curated.store.local_path(pair.media, tmp_path))) as container:
            first = next(container.decode(video=0)).to_ndarray(format="rgb24")
        shown = cv2.resize(picture, first.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(float) - first).mean() < 4


def test_shots_of_one_source_never_part(curated):
    splits: dict[str, set[str]] = {}
    for clip in curated.clips("package"):
        splits.setdefault(clip.source.file.sha256, set()).add(clip.split)
    assert all(len(parts) == 1 for parts in splits.values())
    assert {split for parts in splits.values() for split in parts} == {"train", "validation"}


def test_sources_without_permission_never_enter_the_store(curated):
    sources = curated.store.get_table(curated.manifests["collect"].tables["sources"], Source)
    assert {source.ml_training for source in sources} == {"allowed"}
    assert all(source.evidence for source in sources)
