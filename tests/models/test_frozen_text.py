"""Frozen text encoders, against transformers called by hand on random weights."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

from veo_core.errors import UsageError
from veo_core.models.frozen_text import FrozenTextEncoder
from veo_core.models.text import TextConfig

WORDS = ["a", "red", "circle", "moving", "left", "with", "low", "tone", "blue", "cross", "up"]
LETTERS = sorted(set("".join(WORDS)))
CAPTIONS = ["a red circle", "a blue cross moving left with a low tone", "", "a red circle"]
KINDS = {"clip": "clip", "clip_both": "clip", "t5": "t5", "umt5": "t5"}
TOKENS = {"a red circle": {"clip": 12, "t5": 4}, "": {"clip": 2, "t5": 1}}


def save_clip(folder: Path, *, both: bool) -> None:
    """A byte-pair tokenizer of single letters, and CLIP's text tower alone or in the whole model."""
    vocabulary = {letter + end: 0 for end in ("", "</w>") for letter in LETTERS}
    names = [*vocabulary, "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={name: number for number, name in enumerate(names)}, merges=[])
    tokenizer.save_pretrained(folder)
    text = CLIPTextConfig(
        vocab_size=len(names),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=60,
        bos_token_id=len(names) - 2,
        eos_token_id=len(names) - 1,
        pad_token_id=len(names) - 1,
    )
    if not both:
        CLIPTextModel(text).save_pretrained(folder)
        return
    whole = CLIPModel.config_class(
        text_config=text.to_dict(),
        vision_config=CLIPVisionConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=32
        ).to_dict(),
        projection_dim=8,
    )
    CLIPModel(whole).save_pretrained(folder)


def save_t5(folder: Path, *, multilingual: bool) -> None:
    """A unigram tokenizer of words, and an encoder with or without its decoder."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -2.0) for word in WORDS)]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    sizes = {"vocab_size": len(tokenizer), "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2}
    if multilingual:
        tokenizer.save_pretrained(folder / "tokenizer")
        UMT5EncoderModel(UMT5Config(**sizes, num_heads=2)).save_pretrained(folder / "text_encoder")
    else:
        tokenizer.save_pretrained(folder)
        T5ForConditionalGeneration(T5Config(**sizes, num_heads=2)).save_pretrained(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("text")
    save_clip(root / "clip", both=False)
    save_clip(root / "clip_both", both=True)
    save_t5(root / "t5", multilingual=False)
    save_t5(root / "umt5", multilingual=True)
    return {name: root / name for name in KINDS}


def opened(folders: dict[str, Path], name: str, length: int = 50) -> FrozenTextEncoder:
    return FrozenTextEncoder.open(TextConfig(kind=KINDS[name], path=str(folders[name]), length=length))


def by_hand(folders: dict[str, Path], name: str, caption: str) -> torch.Tensor:
    """Last hidden states [m, d] of one caption without padding."""
    folder = folders[name]
    if KINDS[name] == "clip":
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        model = (
            CLIPModel.from_pretrained(folder).text_model
            if name == "clip_both"
            else CLIPTextModel.from_pretrained(folder)
        )
    elif name == "umt5":
        tokenizer = T5Tokenizer.from_pretrained(folder / "tokenizer")
        model = UMT5EncoderModel.from_pretrained(folder / "text_encoder")
    else:
        tokenizer = T5Tokenizer.from_pretrained(folder)
        model = T5EncoderModel.from_pretrained(folder)
    with torch.no_grad():
        return model.eval()(tokenizer([caption], return_tensors="pt")["input_ids"]).last_hidden_state[0]


@pytest.mark.parametrize("name", KINDS)
def test_features_are_those_of_transformers_and_padding_does_not_change_them(folders, name):
    encoder = opened(folders, name)
    features, mask = encoder(CAPTIONS)
    assert features.shape == (4, 50, encoder.width) == (4, 50, 16)
    assert (mask.dtype, mask.shape) == (torch.bool, (4, 50))
    for row, kept, caption in zip(features, mask, CAPTIONS, strict=True):
        expected = by_hand(folders, name, caption)
        assert kept.tolist() == [True] * len(expected) + [False] * (50 - len(expected))
        torch.testing.assert_close(row[kept], expected, atol=1e-5, rtol=1e-4)
        assert row[~kept].abs().max() == 0.0
    shorter, _ = opened(folders, name, length=49)(CAPTIONS)
    torch.testing.assert_close(shorter, features[:, :49], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["clip", "t5"])
def test_mask_counts_the_tokens_of_the_tokenizer_with_its_ends(folders, name):
    _, mask = opened(folders, name)(list(TOKENS))
    assert mask.sum(1).tolist() == [counts[name] for counts in TOKENS.values()]


def test_features_of_a_caption_do_not_depend_on_the_others_of_its_batch(folders):
    encoder = opened(folders, "umt5")
    together, _ = encoder(CAPTIONS)
    alone, _ = encoder(CAPTIONS[:1])
    torch.testing.assert_close(together[:1], alone)
    torch.testing.assert_close(together[3], together[0])


def test_encoder_is_frozen(folders):
    encoder = opened(folders, "t5").train()
    features, _ = encoder(["a red circle"])
    assert not features.requires_grad
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    torch.testing.assert_close(encoder(["a red circle"])[0], features)


@pytest.mark.parametrize(("name", "count"), [("clip", 12), ("t5", 4)])
def test_caption_when_it_is_too_long_then_the_limit_is_named(folders, name, count):
    encoder = opened(folders, name, length=count - 1)
    message = rf"the prompt has {count} tokens, the limit is {count - 1}; shorten it: 'a red circle'"
    with pytest.raises(UsageError, match=message):
        encoder(["", "a red circle"])


def test_length_when_it_is_above_what_the_encoder_takes_then_it_says_so(folders):
    with pytest.raises(UsageError, match="length 61 is above its 60 tokens"):
        opened(folders, "clip", length=61)


def test_path_when_it_is_no_folder_then_nothing_is_downloaded(tmp_path):
    config = TextConfig(kind="t5", path="google/t5-v1_1-xxl")
    with pytest.raises(UsageError, match="it is no folder; set hub: true"):
        FrozenTextEncoder.open(config)


def test_folder_when_it_holds_another_kind_then_it_says_so(folders):
    config = TextConfig(kind="t5", path=str(folders["clip"]))
    with pytest.raises(UsageError, match="it is a model of type clip_text_model, not one of kind t5"):
        FrozenTextEncoder.open(config)


def copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_folder_when_a_weight_is_not_in_its_files_then_it_is_not_made_up(folders, tmp_path):
    folder = copy(folders["t5"], tmp_path / "deeper")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_layers": 3}))
    with pytest.raises(UsageError, match=r"the weights belong to another configuration: encoder\.block\.2"):
        FrozenTextEncoder.open(TextConfig(kind="t5", path=str(folder)))


def test_folder_when_it_holds_pickles_or_damaged_weights_then_it_is_refused(folders, tmp_path):
    folder = copy(folders["t5"], tmp_path / "broken")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"broken: cannot be loaded: [^\n]+$"):
        FrozenTextEncoder.open(TextConfig(kind="t5", path=str(folder)))
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"holds no \.safetensors"):
        FrozenTextEncoder.open(TextConfig(kind="t5", path=str(folder)))


@pytest.mark.parametrize("value", [{"kind": "t5"}, {"kind": "own", "path": "x"}, {"kind": "gemma"}])
def test_recipe_when_it_names_no_fitting_encoder_then_it_is_refused(value):
    with pytest.raises(UsageError, match=r"text: .*(path goes with|'own', 'clip' or 't5')"):
        TextConfig.parse(value, where="text")
