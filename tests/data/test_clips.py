import numpy as np
import pytest
from footage import ONSET, clip_of, pack

from veo_core.data.clips import dataset_shards, decode_samples, filling, read_shard, shrink
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.records.manifest import Manifest

SPEC = ClipSpec(frames=9, height=32, width=32)


def test_shards_come_by_bucket_and_split_the_largest_bucket_first(store, dataset):
    buckets = dataset_shards(dataset, store)
    counts = {
        name: {split: [shard.clips for shard in shards] for split, shards in splits.items()}
        for name, splits in buckets.items()
    }
    assert list(counts.items()) == [
        ("32x32x9", {"train": [4, 3], "validation": [3]}),
        ("64x32x17", {"train": [4], "validation": [1]}),
    ]


def test_samples_of_a_shard_come_whole_in_the_order_of_their_ids(store, dataset):
    (first, _) = dataset_shards(dataset, store)["32x32x9"]["train"]
    samples = list(read_shard(first, store))
    assert [sample.clip_id for sample in samples] == sorted(sample.clip_id for sample in samples)
    for sample in samples:
        assert sample.caption == f"{sample.short_caption}, größer"
        assert (sample.width, sample.height) == (32, 32)
        assert sample.media[4:8] == b"ftyp"
    assert [sample.media for sample in read_shard(first, store, media=False)] == [b""] * 4


def test_dataset_without_validation_clips_is_refused(store):
    bare = pack(store, [("train", clip_of(store, number, 32, 32, 9)) for number in range(3)])
    with pytest.raises(UsageError, match="validation split is empty"):
        dataset_shards(bare, store)


def test_manifest_of_another_stage_is_refused_by_name(store):
    with pytest.raises(UsageError, match="stage 'annotate' is no packaged dataset"):
        dataset_shards(Manifest(stage="annotate", config_digest=""), store)


def test_shard_that_is_cut_off_is_one_clear_line(store, tmp_path):
    packed = pack(store, [(split, clip_of(store, 50, 32, 32, 9)) for split in ("train", "validation")])
    (shard,) = dataset_shards(packed, store)["32x32x9"]["train"]
    path = store.local_path(shard.file, tmp_path)
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(
        UsageError, match=r"shard train-32x32x9-000000.tar .* is damaged .* run package again"
    ):
        list(read_shard(shard, store))


def test_decoded_clips_have_the_lengths_of_the_spec_and_the_click_in_place(store, dataset):
    (first, _) = dataset_shards(dataset, store)["32x32x9"]["train"]
    samples = list(read_shard(first, store))
    arrays = decode_samples(samples, SPEC)
    assert arrays.video.shape == (4, 3, 9, 32, 32)
    assert arrays.audio.shape == (4, SPEC.samples) == (4, 16_000)
    onset = np.argmax(np.abs(arrays.audio) > 0.2 * 32767, axis=1) / SPEC.audio_rate
    assert onset == pytest.approx(ONSET, abs=0.01)
    levels = [40 + 10 * (int(sample.short_caption.removeprefix("clip ")) % 16) for sample in samples]
    assert arrays.video[:, 0, 4, 16, 16] == pytest.approx(levels, abs=4)


def test_picture_of_another_aspect_is_cut_at_its_middle_and_not_stretched(store, dataset):
    (wide,) = dataset_shards(dataset, store)["64x32x17"]["train"]
    samples = list(read_shard(wide, store))
    video = decode_samples(samples, SPEC).video[:, :, 4].astype(int)
    middle = video[:, :, 16:17, 16:17]
    assert (video[:, :, 0] - middle[..., 0] > 30).all()  # the bright frame's rows are in view
    assert np.abs(video[:, :, 8:-8, :3] - middle).max() < 12  # its columns are cut away


@pytest.mark.parametrize(
    ("height", "width", "filled"), [(32, 32, (32, 32)), (720, 1280, (32, 57)), (1280, 720, (57, 32))]
)
def test_filling_size_covers_the_picture_of_the_spec(height, width, filled):
    assert filling(height, width, SPEC) == filled


def test_shrink_is_the_mean_of_each_cell():
    video = np.zeros((1, 1, 1, 2, 4), np.uint8)
    video[0, 0, 0] = [[0, 4, 10, 10], [8, 12, 30, 30]]
    assert shrink(video, 2).tolist() == [[[[[6, 20]]]]]
