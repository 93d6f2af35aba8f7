"""A recipe that names a frozen text encoder: from captions to a clip for a prompt."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FIT, SPEC, context
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from veo_core.data.latents import load_latents
from veo_core.errors import UsageError
from veo_core.generate.pipeline import Generator, model_files
from veo_core.models.files import load_stored
from veo_core.models.frozen_text import FrozenTextEncoder
from veo_core.models.text import TextConfig
from veo_core.models.transformer import JointTransformer
from veo_core.records.drawing import SamplerConfig
from veo_core.records.manifest import Manifest
from veo_core.train import base, encode_latents
from veo_core.train.captions import Captions

WORDS = ["a", "red", "blue", "square", "moving", "left", "right"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextConfig:
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("t5")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -2.0) for word in WORDS)]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    tokenizer.save_pretrained(folder)
    sizes = {"vocab_size": len(tokenizer), "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1}
    T5EncoderModel(T5Config(**sizes, num_heads=2)).save_pretrained(folder)
    return TextConfig(kind="t5", path=str(folder), length=8)


@pytest.fixture(scope="module")
def models(store, dataset, trained, text) -> dict[str, Manifest]:
    codecs = {name: trained[name] for name in ("video_vae", "audio_vae")}
    encoding = encode_latents.LatentEncoding.model_validate(
        {"clip_spec": SPEC, "keep_frames": 2, "text": text.model_dump()}
    )
    latents = encode_latents.run(
        dataset=dataset, **codecs, config=encoding, context=context(store, "encode_latents", "t5")
    )
    training = base.BaseTraining.model_validate({**FIT, "width": 32, "depth": 1, "heads": 2})
    model = base.run(latents=latents, config=training, context=context(store, "base", "t5"))
    return {**codecs, "latents": latents, "base": model, "upsampler": trained["upsampler"]}


def test_batches_hold_the_features_of_the_captions_that_were_chosen(store, models, text):
    clips = load_latents(models["latents"], store)["train"][0].read([0, 3])
    captions = Captions.of(models["latents"], store, length=32)
    encoder = FrozenTextEncoder.open(text)
    expected = [encoder([clips.captions[0]])[0][0], encoder([clips.short_captions[1]])[0][0]]
    chosen = captions.tokens(clips, torch.tensor([False, True]), torch.tensor([False, False]))
    torch.testing.assert_close(chosen, torch.stack(expected), atol=1e-3, rtol=1e-3)
    dropped = captions.tokens(clips, torch.tensor([False, True]), torch.tensor([True, False]))
    torch.testing.assert_close(dropped[0], encoder([""])[0][0], atol=1e-3, rtol=1e-3)
    assert torch.equal(dropped[1], chosen[1])


def test_base_model_reads_features_and_remembers_whose(store, models, text):
    model = load_stored(JointTransformer, models["base"].files, store, where="base")
    assert (model.config.text.frozen, model.config.text.feature_width) == (text, 16)
    assert model.text.project.in_features == 16
    lines = store.get_bytes(models["base"].files["history"]).decode().splitlines()
    assert all(np.isfinite(json.loads(line)["loss"]) for line in lines)


def test_padding_of_features_does_not_reach_the_model(store, models, text):
    model = load_stored(JointTransformer, models["base"].files, store, where="base")
    features, mask = FrozenTextEncoder.open(text)(["a red square"])
    read, seen = model.text(features)
    assert torch.equal(seen[:, 0, 0], mask)
    shorter, _ = model.text(features[:, :5])
    torch.testing.assert_close(read[:, :4], shorter[:, :4])


def test_generator_films_a_prompt_and_refuses_one_that_is_too_long(store, models):
    parts = {name: models[name] for name in ("video_vae", "audio_vae", "base", "upsampler")}
    generator = Generator.load(model_files(**parts), store)
    (film,) = generator(["a red square moving left"], sampler=SamplerConfig(steps=2))
    assert film.frames.shape == (9, 32, 32, 3)
    with pytest.raises(UsageError, match="the prompt has 9 tokens, the limit is 8; shorten it"):
        generator(["a red square moving left right left right"], sampler=SamplerConfig(steps=2))
