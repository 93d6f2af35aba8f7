import io
import itertools
import json
import tarfile

import pytest
from packing import make_clip, make_clips, pack

from veo_core.curate.package import PackageConfig
from veo_core.data.clips import dataset_shards, read_shard
from veo_core.errors import UsageError
from veo_core.records.clip import NearPair


def splits_of(packed, clips):
    return {packed.clips[clip.clip_id].split for clip in clips}


def test_packaging_twice_gives_equal_manifests(store):
    clips = make_clips(store)
    assert pack(store, clips).manifest == pack(store, clips).manifest


def test_every_clip_is_in_the_shard_that_the_table_names(store):
    packed = pack(store, make_clips(store), clips_per_shard=7)
    found = {}
    for shard in packed.shards:
        with tarfile.open(fileobj=io.BytesIO(store.get_bytes(shard.file))) as tar:
            names = tar.getnames()
            assert names == sorted(names)
            assert len(names) == 3 * shard.clips <= 21
            for name in names[1::3]:
                sample = json.load(tar.extractfile(name))
                found[sample["clip_id"]] = (shard.name, sample["split"], sample["bucket"])
    assert found == {clip.clip_id: (clip.shard, clip.split, clip.bucket) for clip in packed.clips.values()}


def test_manifest_lists_training_shards_and_names_validation_shards(store):
    packed = pack(store, make_clips(store), clips_per_shard=10)
    assert packed.manifest.shards == [s.file for s in packed.shards if s.split == "train"]
    held = {s.name: s.file for s in packed.shards if s.split == "validation"}
    assert held
    assert held.items() <= packed.manifest.files.items()
    assert {s.name.rsplit("-", 1)[0] for s in packed.shards} == {"train-64x64x17", "validation-64x64x17"}


def test_pairs_offer_each_clip_with_and_without_its_first_frame(store):
    packed = pack(store, make_clips(store))
    assert len(packed.pairs) == 2 * len(packed.clips)
    for pair in packed.pairs:
        clip = packed.clips[pair.clip_id]
        assert (pair.split, pair.bucket, pair.shard) == (clip.split, clip.bucket, clip.shard)
        assert pair.first_frame == (clip.key_frames[0] if pair.mode == "i2v" else None)


def test_too_few_clips_are_a_usage_error(store):
    with pytest.raises(UsageError, match="at least 100 are needed"):
        pack(store, make_clips(store, 20), min_clips=100)
    with pytest.raises(UsageError, match="no clip is left"):
        pack(store, [])


def test_share_held_back_follows_the_configuration(store):
    clips = make_clips(store, 60)
    held = {
        share: {c.clip_id for c in pack(store, clips, validation_share=share).clips.values()
                if c.split == "validation"}
        for share in (0.0, 0.1, 0.4)
    }  # fmt: skip
    assert not held[0.0]
    assert held[0.1] < held[0.4]
    assert 0.2 < len(held[0.4]) / len(clips) < 0.6


def test_something_is_held_back_however_few_the_families_are(store):
    clips = [make_clip(store, n, source=f"file-{n % 2}.mp4", shot=n) for n in range(20)]
    packed = pack(store, clips, validation_share=0.01)
    assert splits_of(packed, clips) == {"train", "validation"}


@pytest.mark.parametrize(
    "shared",
    [
        {"source": "one-file.mp4"},
        {"content": "the same bytes"},
        {"url": "https://films.example/watch?v=7"},
    ],
    ids=["shots of one file", "copies of one file", "one page"],
)
def test_family_never_crosses_the_splits(store, shared):
    strangers = make_clips(store, 30)
    family = [make_clip(store, 100 + n, shot=n, **shared) for n in range(30)]
    packed = pack(store, strangers + family, validation_share=0.5)
    assert len(splits_of(packed, family)) == 1
    assert splits_of(packed, strangers) == {"train", "validation"}


def test_site_without_a_page_is_no_family(store):
    clips = [make_clip(store, n, url="https://films.example/") for n in range(30)]
    assert splits_of(pack(store, clips, validation_share=0.5), clips) == {"train", "validation"}


def test_authors_are_kept_together_where_asked(store):
    clips = [make_clip(store, n, author=f"author {n % 3}") for n in range(30)]
    packed = pack(store, clips, validation_share=0.3, split_by=["author"])
    for author in range(3):
        assert len(splits_of(packed, clips[author::3])) == 1


def near(store, *pairs):
    rows = [
        NearPair(
            first=a.clip_id, second=b.clip_id, first_source=a.source.source_id,
            second_source=b.source.source_id, score=0.8,
        )
        for a, b in pairs
    ]  # fmt: skip
    return {"near_pairs": store.put_table(rows, NearPair)}


def test_look_alikes_never_cross_the_splits(store):
    clips = make_clips(store, 40)
    chain = clips[::4]
    tables = near(store, *itertools.pairwise(chain))
    apart = pack(store, clips, tables, validation_share=0.5, split_by=["file"])
    assert len(splits_of(apart, chain)) == 2
    assert len(splits_of(pack(store, clips, tables, validation_share=0.5), chain)) == 1


def test_sources_are_joined_through_a_copy_that_dedup_dropped(store):
    """`sibling` is another shot of the file whose first shot was dropped as a copy of `kept`."""
    clips = make_clips(store, 30)
    for number in range(10):
        kept, dropped = clips[number], make_clip(store, 200 + number)
        sibling = make_clip(store, 300 + number, source=dropped.source.name, shot=1)
        packed = pack(store, [*clips, sibling], near(store, (kept, dropped)), validation_share=0.5)
        assert len(splits_of(packed, [kept, sibling])) == 1


def test_clips_without_caption_or_sound_are_left_out_with_the_reason(store):
    mute, silent = make_clip(store, 100, captioned=False), make_clip(store, 101, audio_seconds=0.0)
    clips = [*make_clips(store), mute, silent]
    ledger = pack(store, clips).ledger
    assert ledger[mute.clip_id].rule == "no_caption"
    assert ledger[silent.clip_id].rule == "no_sound"
    assert pack(store, clips, require_sound=False).ledger[silent.clip_id].verdict == "kept"


@pytest.mark.parametrize(
    ("facts", "rule", "value"),
    [
        ({"width": 86}, "no_bucket:aspect", "86x64x17"),
        ({"width": 48, "height": 48}, "no_bucket:too_small", "48x48x17"),
        ({"frames": 13}, "no_bucket:too_short", "64x64x13"),
        ({"fps": 12.0}, "no_bucket:fps", "12"),
    ],
)
def test_clip_that_fits_no_bucket_is_left_out_with_the_reason(store, facts, rule, value):
    odd = make_clip(store, 100, **facts)
    packed = pack(store, [*make_clips(store), odd])
    decision = packed.ledger[odd.clip_id]
    assert (decision.rule, decision.value) == (rule, value)
    plan = json.loads(store.get_bytes(packed.manifest.files["plan.json"]))
    assert plan["unused"] == [{"rule": rule, "clips": 1, "examples": [odd.clip_id]}]
    assert plan["clips"] == 41
    assert packed.manifest.counts.dropped == 1


def test_buckets_follow_the_clips_and_the_fullest_is_the_largest(store):
    wide = make_clips(store, 20, width=114, height=64)
    tall = make_clips(store, 12, first=20, width=64, height=114, frames=23)
    square = make_clips(store, 30, first=40, width=70, height=66)
    packed = pack(store, wide + tall + square)
    assert [bucket.name for bucket in packed.spec.buckets] == ["64x64x17", "112x64x17", "64x112x21"]
    assert packed.spec.largest.train_clips == sum(
        c.bucket == "64x64x17" and c.split == "train" for c in packed.clips.values()
    )
    assert {packed.clips[clip.clip_id].bucket for clip in tall} == {"64x112x21"}


def test_clip_goes_to_the_bucket_that_keeps_the_most_of_it(store):
    buckets = [
        {"width": 64, "height": 64, "frames": 9},
        {"width": 64, "height": 64, "frames": 17},
        {"width": 32, "height": 32, "frames": 17},
    ]
    packed = pack(store, make_clips(store, 20) + make_clips(store, 20, first=20, frames=12), buckets=buckets)
    assert {bucket.name for bucket in packed.spec.buckets} == {"64x64x17", "64x64x9"}


def test_too_many_unused_clips_are_one_clear_line(store):
    clips = make_clips(store, 20) + make_clips(store, 10, first=20, frames=5)
    buckets = [{"width": 64, "height": 64, "frames": 17}]
    with pytest.raises(UsageError, match=r"10 of 30 clips would be left out \(10 no_bucket:too_short\)"):
        pack(store, clips, buckets=buckets)
    assert len(pack(store, clips, buckets=buckets, max_unused_share=0.4).clips) == 20


def test_bucket_with_frames_that_no_autoencoder_takes_is_refused():
    with pytest.raises(UsageError, match=r"frames must be 1 \+ 4k, not 16"):
        PackageConfig.parse({"buckets": [{"width": 64, "height": 64, "frames": 16}]}, where="package")


def test_curated_world_is_packed_into_one_bucket(curated):
    from packing import Packed

    packed = Packed(curated.store, curated.manifests["package"])
    assert [bucket.name for bucket in packed.spec.buckets] == ["64x64x17"]
    assert packed.spec.largest.seconds == 2.0
    assert (packed.spec.fps, packed.spec.audio_rate) == (8.0, 48_000)


def test_training_reads_the_clips_of_each_bucket_and_split_the_largest_bucket_first(store):
    square = make_clips(store, 30)
    wide = make_clips(store, 20, first=30, width=114)
    packed = pack(store, square + wide, clips_per_shard=8, validation_share=0.2)
    buckets = dataset_shards(packed.manifest, store)
    assert list(buckets) == ["64x64x17", "112x64x17"]
    for clips, splits in zip((square, wide), buckets.values(), strict=True):
        read = {
            sample.clip_id: (split, sample)
            for split, shards in splits.items()
            for shard in shards
            for sample in read_shard(shard, store)
        }
        assert read.keys() == {clip.clip_id for clip in clips}
        for clip in clips:
            split, sample = read[clip.clip_id]
            assert sample.media == store.get_bytes(clip.media)
            assert split == packed.clips[clip.clip_id].split
