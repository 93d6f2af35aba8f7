"""The stage that encodes the dataset, with codecs of random weights."""

import json

import pytest
import torch
from footage import context
from safetensors.torch import load
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from veo_core.data.clips import dataset_shards, decode_samples, read_shard, shrink
from veo_core.data.latents import LatentClip, load_frames, load_latents
from veo_core.data.loader import LatentLoader
from veo_core.errors import UsageError
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.codecs import load_audio_codec, load_video_codec
from veo_core.models.files import load_stored, save_model
from veo_core.models.frozen_text import FrozenTextEncoder
from veo_core.models.text import TextConfig, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.models.video_vae import VideoVAE
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, Part, PartFinished
from veo_core.storage import Store
from veo_core.train import base, encode_latents

CONFIG = encode_latents.LatentEncoding.model_validate(
    {
        "clip_spec": {"frames": 9, "height": 32, "width": 32},
        "batch": 3,
        "keep_frames": 2,
        "upsampler_clips": 5,
        "runtime": {"accelerator": "cpu", "bfloat16": False},
    }
)


@pytest.fixture(scope="module")
def codecs(store) -> dict[str, Manifest]:
    torch.manual_seed(0)
    models = {
        "video_vae": VideoVAE(VideoVAE.Config(width=16, depth=1)),
        "audio_vae": AudioVAE(AudioVAE.Config(width=16, depth=1)),
    }
    return {
        name: Manifest(stage=name, config_digest="", files=save_model(model, store))
        for name, model in models.items()
    }


@pytest.fixture(scope="module")
def latents(store, dataset, codecs) -> Manifest:
    return encode_latents.run(
        dataset=dataset, **codecs, config=CONFIG, context=context(store, "encode_latents")
    )


def test_latents_are_those_of_the_codecs_beside_their_captions(store, dataset, codecs, latents):
    spec = CONFIG.clip_spec
    samples = [
        sample
        for shard in dataset_shards(dataset, store)["32x32x9"]["train"]
        for sample in read_shard(shard, store)
    ]
    arrays = decode_samples(samples, spec)
    pictures = load_video_codec(codecs["video_vae"].files, store)
    sounds = load_audio_codec(codecs["audio_vae"].files, store, spec)
    with torch.no_grad():
        video = pictures.encode(torch.from_numpy(shrink(arrays.video, 2)).float() / 127.5 - 1)
        full = pictures.encode(torch.from_numpy(arrays.video).float() / 127.5 - 1)
        audio = sounds.encode(torch.from_numpy(arrays.audio).float() / 32767)
    (square, _) = load_latents(latents, store)["train"]
    batch = square.read(range(7))
    assert batch.clip_ids == [sample.clip_id for sample in samples]
    assert batch.captions == [sample.caption for sample in samples]
    torch.testing.assert_close(batch.tensors["video"].float(), video, atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(batch.tensors["audio"].float(), audio, atol=5e-3, rtol=1e-3)
    (large, _) = load_latents(latents, store, "full")["train"]
    assert len(large) == 5
    stored = large.read(range(5)).tensors
    torch.testing.assert_close(stored["full"].float(), full[:5], atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(stored["video"].float(), video[:5], atol=5e-3, rtol=1e-3)
    assert stored["enlarged"].shape == stored["full"].shape


def test_every_bucket_has_its_own_layout_and_shapes(store, latents):
    splits = load_latents(latents, store)
    for split, counts in (("train", [7, 4]), ("validation", [3, 1])):
        assert [len(bucket) for bucket in splits[split]] == counts
    square, wide = splits["train"]
    assert [(b.layout.clip.width, b.layout.clip.height, b.layout.clip.frames) for b in (square, wide)] == [
        (32, 32, 9),
        (64, 32, 17),
    ]
    for bucket in (square, wide):
        clip = bucket.layout.clip
        height, width = clip.base_height // clip.video.space, clip.base_width // clip.video.space
        assert bucket.rows["video"].shape[1:] == (16, clip.latent_frames, height, width)
        assert bucket.rows["audio"].shape[1:] == (16, clip.audio_latents)


def test_manifest_counts_clips_and_its_tables_name_every_clip_and_shard(store, dataset, latents):
    clips = store.get_table(latents.tables["captions"], LatentClip)
    wanted = {
        (sample.clip_id, split, bucket, sample.caption, sample.short_caption)
        for bucket, splits in dataset_shards(dataset, store).items()
        for split, shards in splits.items()
        for shard in shards
        for sample in read_shard(shard, store, media=False)
    }
    assert {(c.clip_id, c.split, c.bucket, c.caption, c.short_caption) for c in clips} == wanted
    assert latents.rows == len(clips) == 15
    assert (latents.metrics["train_clips"], latents.metrics["validation_clips"]) == (11, 4)
    assert all(store.has(ref) for ref in latents.shards)
    words = Vocabulary.parse(json.loads(store.get_bytes(latents.files["vocabulary"])), where="vocabulary")
    assert {"clip", "größer", ","} <= set(words.words)


def test_frames_of_the_first_validation_clips_are_kept_with_their_captions(store, dataset, latents):
    (shard,) = dataset_shards(dataset, store)["32x32x9"]["validation"]
    samples = list(read_shard(shard, store))[:2]
    frames, captions = load_frames(latents, store)
    assert captions == [sample.caption for sample in samples]
    assert torch.equal(frames, torch.from_numpy(decode_samples(samples, CONFIG.clip_spec).video))


def test_statistics_are_those_of_the_validation_latents(store, latents):
    found = json.loads(store.get_bytes(latents.files["statistics"]))
    video = load_latents(latents, store)["validation"][0].rows["video"][:].float()
    torch.testing.assert_close(
        torch.tensor(found["video"]["mean"]), video.mean((0, 2, 3, 4)), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        torch.tensor(found["video"]["std"]), video.std((0, 2, 3, 4), correction=0), atol=1e-4, rtol=0
    )
    assert latents.metrics["video_std"] == pytest.approx(float(video.std(correction=0)), abs=1e-4)


def test_stage_that_was_killed_encodes_only_what_is_left_and_publishes_the_same(
    store, dataset, codecs, latents
):
    inputs = {"dataset": dataset, **codecs, "config": CONFIG}
    started = Context(stage="encode_latents", store=store, seed=0, key="killed", workers=1, part=Part(0, 2))
    with pytest.raises(PartFinished):
        encode_latents.run(**inputs, context=started)
    prefix = "encode_latents/killed/"
    done = {key.removeprefix(prefix): store.get_mark(key) for key in store.marks() if key.startswith(prefix)}
    shards = [
        shard
        for splits in dataset_shards(dataset, store).values()
        for of_split in splits.values()
        for shard in of_split
        if shard.file.sha256 in done
    ]
    assert 0 < len(shards) == len(done) < 5
    tars = [store.get_bytes(shard.file) for shard in shards]
    for shard in shards:  # who would encode these again finds nothing to read
        store.remove_object(shard.file.path)
    again = encode_latents.run(**inputs, context=context(store, "encode_latents", "killed"))
    for tar in tars:
        store.put_bytes(tar, ".tar")
    assert again.to_bytes() == latents.to_bytes()
    assert {digest: store.get_mark(prefix + digest) for digest in done} == done


def test_shard_that_was_deleted_is_encoded_again(store, dataset, codecs, latents):
    for ref in latents.shards[:2]:
        store.remove_object(ref.path)
    again = encode_latents.run(
        dataset=dataset, **codecs, config=CONFIG, context=context(store, "encode_latents")
    )
    assert again == latents
    assert all(store.has(ref) for ref in latents.shards)


def test_loader_draws_batches_of_both_buckets(store, latents):
    generator, shapes = torch.Generator(), set()
    with LatentLoader(load_latents(latents, store)["train"], 4) as loader:
        for seed in range(12):
            shapes.add(tuple(loader.draw(generator.manual_seed(seed)).clips.tensors["video"].shape))
    assert shapes == {(4, 16, 3, 4, 4), (4, 16, 5, 4, 8)}


def test_features_of_a_frozen_text_encoder_are_kept_beside_the_latents(store, dataset, codecs, tmp_path):
    words = ["clip", "größer", *map(str, range(15))]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -2.0) for word in words)]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    tokenizer.save_pretrained(tmp_path)
    sizes = {"vocab_size": len(tokenizer), "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1}
    T5EncoderModel(T5Config(**sizes, num_heads=2)).save_pretrained(tmp_path)
    text = TextConfig(kind="t5", path=str(tmp_path), length=3)
    made = encode_latents.run(
        dataset=dataset,
        **codecs,
        config=CONFIG.model_copy(update={"text": text}),
        context=context(store, "encode_latents", "text"),
    )
    batch = load_latents(made, store)["train"][0].read([4, 2])
    encoder = FrozenTextEncoder.open(text)
    features, mask = encoder(batch.short_captions)
    assert mask.tolist() == [[True] * 3] * 2
    torch.testing.assert_close(batch.tensors["short_text"].float(), features, atol=1e-3, rtol=1e-3)
    features, mask = encoder(batch.captions, cut=True)
    torch.testing.assert_close(batch.tensors["text"].float(), features, atol=1e-3, rtol=1e-3)
    assert torch.equal(batch.tensors["text_mask"], mask)
    empty = load(store.get_bytes(made.files["empty_text"]))
    torch.testing.assert_close(empty["text"].float(), encoder([""])[0], atol=1e-3, rtol=1e-3)
    assert TextConfig.parse(json.loads(store.get_bytes(made.files["text_config"])), where="text") == text


def test_base_model_trains_on_every_bucket(store, latents):
    config = base.BaseTraining.model_validate({"steps": 6, "batch": 4, "width": 32, "depth": 1, "heads": 2})
    trained = base.run(latents=latents, config=config, context=context(store, "base"))
    model = load_stored(JointTransformer, trained.files, store, where="base")
    assert [grid.shape for grid in model.grids] == [(3, 4, 4, 25), (5, 4, 8, 50)]


def test_latents_of_another_store_are_reported_missing(latents, tmp_path):
    with pytest.raises(UsageError, match="is missing"):
        load_latents(latents, Store(str(tmp_path)))
