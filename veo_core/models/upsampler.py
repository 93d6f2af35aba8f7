"""The upsampler: restores the detail of enlarged pictures, in latent space."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.models.layers import ChannelNorm, Convolution, zero_
from veo_core.models.transformer import LevelEmbedding
from veo_core.records.base import Record


class Upsampler(nn.Module):
    """Predicts the velocity of full-size latents, given those of the enlarged base picture.

    The condition is concatenated on channels, so that every place sees what it has to refine.
    Convolutional: refinement is local, and any size fits.
    """

    class Config(Record):
        channels: int = Field(default=16, description="channels of a latent")
        width: int = Field(default=96, description="channels of the residual blocks")
        depth: int = Field(default=4, description="residual blocks")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.levels = nn.ModuleList(LevelEmbedding(width) for _ in range(2))
        self.project_in = nn.Conv3d(2 * config.channels, width, (1, 3, 3), padding=(0, 1, 1))
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.depth))
        self.norm = ChannelNorm(width)
        self.project_out = nn.Conv3d(width, config.channels, 1)
        zero_(self.project_out)

    def forward(self, latents: Tensor, place: Tensor, condition: Tensor, blur: Tensor) -> Tensor:
        """Velocity of the latents [b, c, t, h, w].

        Args:
            latents: a point on the path from data (`place` 0) to its start (1). place: [b].
            condition: enlarged base latents with noise of level `blur` [b].
        """
        level = F.silu(self.levels[0](place) + self.levels[1](blur))
        x = self.project_in(torch.cat([latents, condition], dim=1))
        for block in self.blocks:
            x = block(x, level)
        velocity: Tensor = self.project_out(F.gelu(self.norm(x)))
        return velocity.float()


class _Block(nn.Module):
    """Residual block of a convolution over space and one over time, modulated by the noise levels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.modulate = nn.Linear(width, 2 * width)
        self.space = Convolution(width, width, (1, 3, 3))
        self.time = Convolution(width, width, (3, 1, 1), causal=False)
        zero_(self.modulate)
        zero_(self.time)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        shift, scale = self.modulate(level)[:, :, None, None, None].chunk(2, dim=1)
        y: Tensor = x + self.time(F.gelu(self.space(self.norm(x) * (1.0 + scale) + shift)))
        return y
