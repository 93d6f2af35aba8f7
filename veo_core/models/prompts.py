"""Prompts to what the denoiser reads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from veo_core.models.text import TextEncoder, split_words

if TYPE_CHECKING:
    from veo_core.models.frozen_text import FrozenTextEncoder


class PromptEncoder(nn.Module):
    """Prompts to ids of words [b, m], or to features [b, m, d] where the denoiser was trained on those of a
    frozen encoder.

    Raises:
        UsageError: the frozen encoder cannot be loaded.
    """

    def __init__(self, config: TextEncoder.Config, frozen: "FrozenTextEncoder | None" = None) -> None:
        """`frozen` is the encoder that `config` names, opened from where it says if left out."""
        super().__init__()
        self.config, self.frozen = config, frozen
        if frozen is None and config.frozen.kind != "own":
            from veo_core.models.frozen_text import FrozenTextEncoder  # transformers takes seconds to import

            self.frozen = FrozenTextEncoder.open(config.frozen)

    def check(self, prompt: str) -> None:
        """Whether the model can read a prompt.

        Raises:
            UsageError: it is too long.
        """
        if self.frozen is None:
            self.config.vocabulary.tokens([prompt], self.config.length)
        else:
            self.frozen.tokens([prompt])

    def unknown_words(self, prompt: str) -> list[str]:
        """The words that no training caption held, where the model learned words from its captions alone."""
        if self.frozen is not None:
            return []
        known = set(self.config.vocabulary.words)
        return list(dict.fromkeys(word for word in split_words(prompt) if word not in known))

    def forward(self, prompts: Sequence[str]) -> Tensor:
        """What `JointTransformer` takes as `tokens`.

        Raises:
            UsageError: a prompt is too long.
        """
        if self.frozen is None:
            return self.config.vocabulary.tokens(prompts, self.config.length)
        features: Tensor = self.frozen(prompts)[0]
        return features
