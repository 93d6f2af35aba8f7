import numpy as np
import pytest
from footage import clip_of, context, damage, pack

from veo_core.data.clips import dataset_shards, decode_samples, read_shard, shrink
from veo_core.data.decoded import DecodedCache, decoded_clips
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.storage import Store

SPEC = ClipSpec(frames=9, height=32, width=32)


def test_decoded_clips_are_those_of_the_largest_bucket_as_decoding_gives_them(store, dataset):
    clips = decoded_clips(dataset, SPEC, context(store, "video_vae", workers=2))
    assert {split: len(found) for split, found in clips.items()} == {"train": 7, "validation": 3}
    shards = dataset_shards(dataset, store)["32x32x9"]["train"]
    direct = decode_samples([sample for shard in shards for sample in read_shard(shard, store)], SPEC)
    train = clips["train"]
    assert np.array_equal(train.full[:].numpy(), direct.video)
    assert np.array_equal(train.base[:].numpy(), shrink(direct.video, 2))
    assert np.array_equal(train.audio[:].numpy(), direct.audio)


def test_another_stage_decodes_nothing_again(tmp_path):
    store = Store(str(tmp_path))
    dataset = small(store)
    first = decoded_clips(dataset, SPEC, context(store, "video_vae", "one"))
    shards = [shard for shards in dataset_shards(dataset, store)["32x32x9"].values() for shard in shards]
    for shard in shards:
        store.remove_object(shard.file.path)
    again = decoded_clips(dataset, SPEC, context(store, "audio_vae", "two"))
    for split in ("train", "validation"):
        assert np.array_equal(first[split].full[:].numpy(), again[split].full[:].numpy())


def test_clips_of_another_shape_are_decoded_apart(store, dataset):
    small = decoded_clips(dataset, ClipSpec(frames=5, height=16, width=16), context(store, "video_vae"))
    assert small["train"].full.shape == (7, 3, 5, 16, 16)
    assert decoded_clips(dataset, SPEC, context(store, "video_vae"))["train"].full.shape == (7, 3, 9, 32, 32)


def test_file_that_is_gone_is_made_again(tmp_path):
    store = Store(str(tmp_path))
    dataset = small(store)
    before = decoded_clips(dataset, SPEC, context(store, "video_vae"))["train"].full[:].clone()
    for path in store.objects():
        if path.endswith(".decoded.safetensors"):
            store.remove_object(path)
    after = decoded_clips(dataset, SPEC, context(store, "video_vae"))["train"].full[:]
    assert np.array_equal(before.numpy(), after.numpy())


def test_damaged_file_is_one_clear_line_that_says_how_to_mend_it(tmp_path):
    store = Store(str(tmp_path))
    dataset = small(store)
    decoded_clips(dataset, SPEC, context(store, "video_vae"))
    (path, *_) = [path for path in store.objects() if path.endswith(".decoded.safetensors")]
    damage(store, path)
    clips = decoded_clips(dataset, SPEC, context(store, "video_vae"))
    with pytest.raises(UsageError, match=f"object {path} was altered.*; delete it and run this stage again"):
        _ = [clips[split].full[0] for split in ("train", "validation")]


def test_no_more_shards_are_decoded_than_the_wanted_clips_need(store, dataset):
    clips = decoded_clips(dataset, SPEC, context(store, "video_vae"), most=4)
    assert len(clips["train"]) == 4


def test_batches_are_equal_from_the_cache_and_decoded_on_the_fly(tmp_path):
    store = Store(str(tmp_path))
    dataset = small(store)
    (shard,) = dataset_shards(dataset, store)["32x32x9"]["train"]
    cache = DecodedCache(SPEC, store)
    fresh = list(cache.batches(shard, 2))
    cache.fill([shard], context(store, "video_vae"))
    kept = list(cache.batches(shard, 2))
    assert [len(samples) for samples, _ in kept] == [2, 1]
    for (named, a), (again, b) in zip(fresh, kept, strict=True):
        assert [sample.clip_id for sample in named] == [sample.clip_id for sample in again]
        assert np.array_equal(a.video, b.video)
        assert np.array_equal(a.audio, b.audio)


def small(store: Store):
    splits = ["train"] * 3 + ["validation"]
    return pack(store, [(split, clip_of(store, n, 32, 32, 9)) for n, split in enumerate(splits)])
