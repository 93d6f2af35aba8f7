"""Frozen text encoders of transformers: CLIP, and the T5 family with UL2 and umT5. Token-level features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    CLIPTextModel,
    MT5EncoderModel,
    T5EncoderModel,
    UMT5EncoderModel,
)

from veo_core.errors import UsageError
from veo_core.models.pretrained import complete, component, loaded, opened_folder
from veo_core.models.text import TextConfig, too_long

_MODELS = {
    "clip": {"clip": CLIPTextModel, "clip_text_model": CLIPTextModel},
    "t5": {"t5": T5EncoderModel, "mt5": MT5EncoderModel, "umt5": UMT5EncoderModel},
}
"""The encoder of each `model_type`, by kind. UL2 and T5 v1.1 are of type t5."""


class FrozenTextEncoder(nn.Module):
    """Captions to the last hidden states of their tokens, padded to a constant length.

    Features depend on their caption alone, so that they can be computed once and kept.

    Raises:
        UsageError: the encoder takes fewer tokens than `config.length`.
    """

    def __init__(self, config: TextConfig, encoder: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.config, self.encoder, self.tokenizer = config, encoder, tokenizer
        values: Any = encoder.config
        most = getattr(getattr(values, "text_config", values), "max_position_embeddings", None)
        if most is not None and config.length > most:
            raise UsageError(f"text encoder {config.path}: length {config.length} is above its {most} tokens")

    @classmethod
    def open(cls, config: TextConfig) -> Self:
        """Load the encoder and the tokenizer: of a folder or URI, of a pipeline's sub-folders `text_encoder`
        and `tokenizer`, or from the hub where the configuration allows it.

        Raises:
            UsageError: it holds no such weights, or they are of another kind.
        """
        if config.kind == "own":
            raise UsageError("text encoder: kind own is part of the denoiser and has no folder")
        where = f"text encoder {config.path}"
        if config.hub:
            return cls._load(config, config.path, config.path, where)
        if "://" not in config.path and not Path(config.path).is_dir():
            raise UsageError(f"{where}: it is no folder; set hub: true where it is a name on the model hub")
        with opened_folder(config.path, where=where) as folder:
            place = component(folder, "text_encoder", where=where)
            tokenizer = folder / "tokenizer" if (folder / "tokenizer").is_dir() else place
            return cls._load(config, place, tokenizer, where)

    @classmethod
    def _load(cls, config: TextConfig, place: Path | str, tokenizer: Path | str, where: str) -> Self:
        options: dict[str, Any] = {"local_files_only": not config.hub, "trust_remote_code": False}
        kind = loaded(lambda: AutoConfig.from_pretrained(place, **options), where=where).model_type
        models: dict[str, Any] = _MODELS[config.kind]
        if kind not in models:
            raise UsageError(f"{where}: it is a model of type {kind}, not one of kind {config.kind}")
        model = models[kind]
        encoder = complete(
            lambda: model.from_pretrained(
                place,
                local_files_only=not config.hub,
                use_safetensors=True,
                dtype="auto",
                output_loading_info=True,
            ),
            where=where,
        )
        words = loaded(
            lambda: AutoTokenizer.from_pretrained(tokenizer, **options), where=f"{where} tokenizer"
        )
        return cls(config, encoder.eval().requires_grad_(False), words)

    def train(self, mode: bool = True) -> Self:
        """As every module, but the encoder stays as it is, without dropout."""
        super().train(mode)
        self.encoder.eval()
        return self

    @property
    def width(self) -> int:
        """Features of a token."""
        values: Any = self.encoder.config
        return int(getattr(values, "text_config", values).hidden_size)

    def tokens(self, captions: Sequence[str], *, cut: bool = False) -> tuple[Tensor, Tensor]:
        """Ids int64 [b, length], and a mask bool [b, length] that is True at tokens that are not padding.

        Raises:
            UsageError: a caption has more tokens than `config.length`, those of its ends included, and is
                not to be `cut`.
        """
        length = self.config.length
        counts = [len(ids) for ids in self.tokenizer(list(captions), verbose=False)["input_ids"]]
        for caption, count in zip(captions, counts, strict=True):
            if count > length and not cut:
                raise too_long(caption, count, length)
        padded = self.tokenizer(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=length,
            padding_side="right",
            return_tensors="pt",
        )
        return padded["input_ids"], padded["attention_mask"].bool()

    @torch.no_grad()
    def forward(self, captions: Sequence[str], *, cut: bool = False) -> tuple[Tensor, Tensor]:
        """Features float32 [b, length, width] with zeros at padding, and the mask bool [b, length].

        Each different caption is encoded once.

        Raises:
            UsageError: a caption is too long and is not to be `cut`.
        """
        different = list(dict.fromkeys(captions))
        device = next(self.encoder.parameters()).device
        ids, mask = (tensor.to(device) for tensor in self.tokens(different, cut=cut))
        hidden = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        features = hidden.float() * mask[:, :, None]
        rows = [different.index(caption) for caption in captions]
        return features[rows], mask[rows]
