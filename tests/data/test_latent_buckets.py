import pytest
import torch
from footage import damage
from latent_shards import LAYOUT, bucket_of, shard_of

from veo_core.data.latents import LatentBucket, load_latents
from veo_core.data.mapped import Rows
from veo_core.errors import UsageError
from veo_core.records.manifest import Manifest


def test_clips_are_read_across_shards_in_the_order_that_was_asked_for(store):
    bucket = bucket_of(store, [3, 2, 4])
    batch = bucket.read([8, 0, 4, 3, 0])
    assert len(bucket) == 9
    assert batch.tensors["video"].shape == (5, 2, 3, 4, 4)
    assert batch.tensors["video"].dtype == torch.float16
    assert batch.tensors["video"][:, 0, 0, 0, 0].tolist() == [8, 0, 4, 3, 0]
    assert batch.tensors["audio"][:, 2, 4].tolist() == [-8, 0, -4, -3, 0]
    assert batch.captions[0] == "clip 8 größer"
    assert batch.short_captions == ["8", "0", "4", "3", "0"]
    assert batch.clip_ids == ["id-8", "id-0", "id-4", "id-3", "id-0"]


def test_clips_are_described_in_order_with_their_rows(store):
    clips = list(bucket_of(store, [2, 2]).clips("train"))
    assert [(clip.row, clip.clip_id, clip.short_caption) for clip in clips] == [
        (number, f"id-{number}", str(number)) for number in range(4)
    ]


def test_text_features_come_along_where_the_shards_hold_them(store):
    bucket = LatentBucket("b", LAYOUT, [shard_of(store, range(4), text=True)])
    tensors = bucket.read([3, 1]).tensors
    assert tensors["text"].shape == (2, 6, 8)
    assert tensors["text_mask"].dtype == torch.bool
    assert tensors["text_mask"].sum(1).tolist() == [4, 2]


def test_bfloat16_survives(store):
    bucket = LatentBucket("b", LAYOUT, [shard_of(store, [7], dtype=torch.bfloat16)])
    assert bucket.read([0]).tensors["video"].dtype == torch.bfloat16
    assert bucket.read([0]).tensors["video"].float().mean() == 7


def test_rows_behave_as_one_tensor(store):
    rows = Rows([shard_of(store, [0, 1, 2]), shard_of(store, [3, 4])], "audio")
    whole = -torch.arange(5, dtype=torch.float16)
    assert rows.shape == (5, 3, 5)
    assert torch.equal(rows[1:4][:, 0, 0], whole[1:4])
    assert torch.equal(rows[torch.tensor([4, 0])][:, 0, 0], whole[[4, 0]])
    assert torch.equal(rows[3][0, 0], whole[3])
    assert [float(row[0, 0]) for row in rows] == whole.tolist()
    with pytest.raises(IndexError):
        rows[5]


def test_damaged_shard_is_one_line_that_names_the_file_and_says_how_to_mend_it(store):
    shard = shard_of(store, [90, 91])
    damage(store, shard.ref.path)
    with pytest.raises(UsageError) as caught:
        LatentBucket("b", LAYOUT, [shard]).read([0])
    assert str(caught.value) == (
        f"store {store.root}: object {shard.ref.path} was altered: its sha256 does not match; "
        "delete it and run encode_latents again"
    )


def test_shard_that_is_gone_is_one_line_that_says_how_to_mend_it(store):
    shard = shard_of(store, [92, 93])
    store.remove_object(shard.ref.path)
    with pytest.raises(UsageError, match=f"object {shard.ref.path} is missing; .*run encode_latents again"):
        LatentBucket("b", LAYOUT, [shard]).read([0])


def test_manifest_without_latents_is_refused(store):
    with pytest.raises(UsageError, match="stage 'encode_latents' names no latents; run encode_latents again"):
        load_latents(Manifest(stage="encode_latents", config_digest=""), store)
