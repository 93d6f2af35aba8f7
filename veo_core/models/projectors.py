"""From latents to tokens, and from tokens back to a prediction for each latent.

A picture token stands for a patch of latents. Attention makes far patches agree; that near ones do, down to
the single latent, is cheaper to learn for convolutions around it, whose features also lead past the
transformer from input to output (as in U-ViT: Bao et al., 2209.12152).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.models.layers import ChannelNorm, Convolution, patchify, unpatchify, zero_


class VideoProjector(nn.Module):
    """Picture latents [b, c, t, h, w] to tokens [b, t * h / patch * w / patch, width], and back.

    Args:
        channels: of a latent.
        patch: latents to a token along each side.
        width: of tokens and noise levels.
        local_width: channels of the convolutions.
        local_depth: blocks of them on either side; 0 for linear projections alone.
    """

    def __init__(self, channels: int, patch: int, width: int, local_width: int, local_depth: int) -> None:
        super().__init__()
        self.patch = patch
        self.convolves = local_depth > 0
        inner = local_width if self.convolves else channels
        if self.convolves:
            self.first = Convolution(channels, inner, (1, 1, 1))
            self.before = nn.ModuleList(LocalBlock(inner, width) for _ in range(local_depth))
            self.after = nn.ModuleList(LocalBlock(inner, width) for _ in range(local_depth))
            self.last = Convolution(inner, channels, (1, 1, 1))
            zero_(self.last)
        self.tokens_in = nn.Linear(inner * patch**2, width)
        self.tokens_out = ModulatedLinear(width, inner * patch**2)

    def read(self, latents: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens, and the local features [b, c', t, h, w] that `write` needs; level [b, t, width]."""
        local = latents
        if self.convolves:
            local = self.first(latents)
            for block in self.before:
                local = block(local, level)
        return self.tokens_in(patchify(local, 1, self.patch).flatten(2).transpose(1, 2)), local

    def write(self, tokens: Tensor, local: Tensor, level: Tensor) -> Tensor:
        """A prediction [b, c, t, h, w]; zero before training."""
        b, _, t, h, w = local.shape
        patches = self.tokens_out(tokens, level).transpose(1, 2)
        predicted = unpatchify(patches.reshape(b, -1, t, h // self.patch, w // self.patch), 1, self.patch)
        if self.convolves:
            local = local + predicted
            for block in self.after:
                local = block(local, level)
            predicted = self.last(local)
        return predicted.float()


class AudioProjector(nn.Module):
    """Sound latents [b, c, l] to tokens [b, l / patch, width], and back.

    Args:
        channels: of a latent.
        patch: latents in a row to a token.
        width: of tokens and noise levels.
    """

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.tokens_in = nn.Linear(channels * patch, width)
        self.tokens_out = ModulatedLinear(width, channels * patch)

    def read(self, latents: Tensor) -> Tensor:
        b, c, length = latents.shape
        patches = latents.transpose(1, 2).reshape(b, length // self.patch, self.patch * c)
        tokens: Tensor = self.tokens_in(patches)
        return tokens

    def write(self, tokens: Tensor, level: Tensor) -> Tensor:
        """A prediction [b, c, l]; zero before training."""
        patches: Tensor = self.tokens_out(tokens, level).float()
        return patches.reshape(len(tokens), tokens.shape[1] * self.patch, -1).transpose(1, 2)


class ModulatedLinear(nn.Module):
    """Normalised tokens, shifted and scaled by their noise level, through a linear layer; zero at first."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, channels)
        zero_(self.modulate)
        zero_(self.project)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Tokens [b, n, width] under levels [b, g, width] to [b, n, channels]."""
        shift, scale = self.modulate(level).chunk(2, dim=-1)
        projected: Tensor = self.project(modulated(x, shift, scale))
        return projected


class LocalBlock(nn.Module):
    """Residual block of a convolution over space and one over time, modulated by each frame's noise level."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.modulate = nn.Linear(width, 2 * channels)
        self.space = Convolution(channels, channels, (1, 3, 3))
        self.time = Convolution(channels, channels, (3, 1, 1), causal=False)
        zero_(self.modulate)
        zero_(self.time)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Features [b, c, t, h, w] under levels [b, t, width]."""
        shift, scale = self.modulate(level).transpose(1, 2)[..., None, None].chunk(2, dim=1)
        y: Tensor = x + self.time(F.gelu(self.space(self.norm(x) * (1.0 + scale) + shift)))
        return y


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise tokens [b, n, d]; shift and scale them by group [b, g, d], n / g tokens to a group."""
    groups = F.layer_norm(x, x.shape[-1:]).view(len(x), shift.shape[1], -1, x.shape[2])
    return torch.addcmul(shift.unsqueeze(2), groups, 1.0 + scale.unsqueeze(2)).flatten(1, 2)
