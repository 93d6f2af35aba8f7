"""Where tokens are: one clock in seconds for picture and sound, and places in the picture.

A position is (seconds, y, x) with y and x in [-1, 1]; sound sits at the centre of the picture.
"""

import math

import torch
from torch import Tensor, nn

TIME_RATES = (0.5, 40.0)
"""Slowest and fastest rotation in radians per second. None of the eight rates between turns by a whole
number of circles in the half second between latent frames at 8 pictures a second."""

SPACE_RATES = (0.7, 5.0)
"""Slowest and fastest rotation in radians per half picture."""


def video_positions(seconds: list[float], rows: int, columns: int) -> Tensor:
    """Positions [t * rows * columns, 3] of picture tokens, time slowest."""
    y = (torch.arange(rows) + 0.5) / rows * 2 - 1
    x = (torch.arange(columns) + 0.5) / columns * 2 - 1
    grid = torch.meshgrid(torch.tensor(seconds), y, x, indexing="ij")
    return torch.stack(grid, -1).flatten(0, 2)


def audio_positions(seconds: list[float]) -> Tensor:
    """Positions [l, 3] of sound tokens."""
    return torch.stack([torch.tensor(seconds), *torch.zeros(2, len(seconds))], -1)


def rotation(positions: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [n, head_width / 2]: half of the pairs turn with time, a quarter with y and x each.

    Rotary embedding: Su et al., "RoFormer" (2104.09864); seconds in place of indices as in LTX-2.
    """
    time_pairs, space_pairs = head_width // 4, head_width // 8
    angles = [
        positions[:, :1] * _rates(*TIME_RATES, time_pairs),
        positions[:, 1:2] * _rates(*SPACE_RATES, space_pairs),
        positions[:, 2:] * _rates(*SPACE_RATES, space_pairs),
    ]
    angle = torch.cat(angles, 1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs (first half, second half) of [b, heads, n, head_width]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)


def _rates(slowest: float, fastest: float, count: int) -> Tensor:
    return torch.logspace(math.log10(slowest), math.log10(fastest), count)


class CoordinateEmbedding(nn.Module):
    """Fourier features of the absolute position [n, 3], mapped to the width of a token.

    Rotation shows attention how far apart two tokens are; this tells each token where it is. A small
    model needs it to bind a word such as "left" to a side of the picture.
    """

    frequencies: Tensor

    def __init__(self, width: int, octaves: int = 5) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi / 2 * 2.0 ** torch.arange(octaves), persistent=False)
        self.project = nn.Linear(6 * octaves, width)

    def forward(self, positions: Tensor) -> Tensor:
        angles = (positions[:, :, None] * self.frequencies).flatten(1)
        embedded: Tensor = self.project(torch.cat([angles.cos(), angles.sin()], dim=1))
        return embedded
