"""What the base model reads of a batch's captions."""

import json
from typing import Self

import torch
from safetensors.torch import load
from torch import Tensor

from veo_core.data.latents import LatentBatch
from veo_core.models.text import TextConfig, TextEncoder, Vocabulary
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


class Captions:
    """Captions as ids of words, or as the features of a frozen encoder that were kept beside the latents.

    Args:
        vocabulary: the words of the training captions.
        length: words that a caption is padded or cut to.
        frozen: the encoder whose features were kept; None for ids.
        empty: its features [1, m, d] of no caption.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        length: int,
        frozen: TextConfig | None = None,
        empty: Tensor | None = None,
    ) -> None:
        self.vocabulary, self.length, self.frozen = vocabulary, length, frozen
        self._features = empty is not None
        self._empty = vocabulary.tokens([""], length) if empty is None else empty.float()

    @classmethod
    def of(cls, latents: Manifest, store: Store, length: int) -> Self:
        """The captions of the clips that a manifest of latents holds."""

        def record(name: str) -> object:
            return json.loads(store.get_bytes(latents.files[name]))

        vocabulary = Vocabulary.parse(record("vocabulary"), where="latents vocabulary")
        if "text_config" not in latents.files:
            return cls(vocabulary, length)
        frozen = TextConfig.parse(record("text_config"), where="latents text_config")
        empty = load(store.get_bytes(latents.files["empty_text"]))["text"]
        return cls(vocabulary, length, frozen, empty)

    def encoder(self, config: TextEncoder.Config) -> TextEncoder.Config:
        """The configuration of the model's own part of reading them."""
        if not self._features:
            return config
        _, length, width = self._empty.shape
        changes = {"length": length, "frozen": self.frozen, "feature_width": width}
        return config.model_copy(update=changes)

    def tokens(self, clips: LatentBatch, short: Tensor, drop: Tensor) -> Tensor:
        """What `JointTransformer` takes as `tokens`: [b, m] or [b, m, d].

        Args:
            short: bool [b], whose short caption is read.
            drop: bool [b], who is told nothing.
        """
        if self._features:
            long, brief = (clips.tensors[name].float() for name in ("text", "short_text"))
            chosen = torch.where(short[:, None, None], brief, long)
        else:
            pairs = zip(clips.captions, clips.short_captions, short.tolist(), strict=True)
            words = [pair[use_short] for *pair, use_short in pairs]
            chosen = self.vocabulary.tokens(words, self.length, cut=True)
        return torch.where(drop.view(-1, *[1] * (chosen.dim() - 1)), self._empty, chosen)
