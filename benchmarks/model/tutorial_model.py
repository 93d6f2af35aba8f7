"""The models that tutorials on generating video with sound usually build, written anew: do not use them.

Autoencoders that are plain and never trained, a caption as one pooled vector, learned positions that start
at random, one sequence of all tokens with one projection for each kind, no normalisation of queries and
keys, modulation that does not start at zero. The upsampler takes the small picture as further tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.models.text import PAD

FRAMES = 16
"""Pictures of a clip that are used: the first ones."""

VIDEO_CHANNELS, AUDIO_CHANNELS = 4, 16
VIDEO_PATCH, AUDIO_PATCH = 2, 16
AUDIO_STRIDE = 32


class VideoAutoencoder(nn.Module):
    """Pictures [b, 3, 16, h, w] to latents [b, 4, 8, h / 8, w / 8] and back: four convolutions each way.

    Channels are `width`, then twice and four times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second, third = width, 2 * width, 4 * width
        self.encoder = nn.Sequential(
            nn.Conv3d(3, first, 3, stride=(1, 2, 2), padding=1),
            nn.ReLU(),
            nn.Conv3d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv3d(second, third, 3, stride=(1, 2, 2), padding=1),
            nn.ReLU(),
            nn.Conv3d(third, VIDEO_CHANNELS, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv3d(VIDEO_CHANNELS, third, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose3d(third, second, (3, 4, 4), stride=(1, 2, 2), padding=1),
            nn.ReLU(),
            nn.ConvTranspose3d(second, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose3d(first, 3, (3, 4, 4), stride=(1, 2, 2), padding=1),
            nn.Tanh(),
        )


class AudioAutoencoder(nn.Module):
    """Waveform [b, 1, samples] to latents [b, 16, samples / 32] and back: five convolutions of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [1, width, width, width, width, AUDIO_CHANNELS]
        self.encoder = nn.Sequential(
            *[
                layer
                for i in range(5)
                for layer in (nn.Conv1d(widths[i], widths[i + 1], 4, stride=2, padding=1), nn.ReLU())
            ][:-1]
        )
        widths = widths[::-1]
        self.decoder = nn.Sequential(
            *[
                layer
                for i in range(5)
                for layer in (nn.ConvTranspose1d(widths[i], widths[i + 1], 4, stride=2, padding=1), nn.ReLU())
            ][:-1],
            nn.Tanh(),
        )


@dataclass(frozen=True)
class Stream:
    """Tokens of one kind in the sequence: how many, how many values each, and whether they are predicted."""

    tokens: int
    values: int
    predicted: bool = True


class Transformer(nn.Module):
    """Predicts the noise in all tokens of one sequence, under one vector of the caption and the time."""

    def __init__(
        self, streams: tuple[Stream, ...], words: int, *, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.streams = streams
        self.project_in = nn.ModuleList(nn.Linear(stream.values, width) for stream in streams)
        self.positions = nn.Parameter(torch.randn(sum(stream.tokens for stream in streams), width))
        self.words = nn.Embedding(words, width, padding_idx=PAD)
        self.caption = nn.Linear(width, width)
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.project_out = nn.ModuleList(
            nn.Linear(width, stream.values) if stream.predicted else nn.Identity() for stream in streams
        )

    def forward(self, inputs: tuple[Tensor, ...], step: Tensor, tokens: Tensor) -> list[Tensor]:
        """The noise of each predicted stream.

        Args:
            inputs: the values of each stream [b, n, v].
            step: step of the diffusion, 0 to 999 [b].
            tokens: ids of the caption's words [b, m].
        """
        projected = [layer(x) for layer, x in zip(self.project_in, inputs, strict=True)]
        x = torch.cat(projected, dim=1) + self.positions
        known = (tokens != PAD).unsqueeze(2)
        pooled = (self.words(tokens) * known).sum(1) / known.sum(1).clamp(min=1)
        condition = self.caption(pooled) + self.time(step[:, None].float() / 1000)
        for block in self.blocks:
            x = block(x, condition)
        parts = torch.split(self.norm(x), [stream.tokens for stream in self.streams], dim=1)
        return [
            layer(part)
            for layer, part, stream in zip(self.project_out, parts, self.streams, strict=True)
            if stream.predicted
        ]


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.modulate = nn.Linear(width, 6 * width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        parts = self.modulate(F.silu(condition))[:, None].chunk(6, dim=-1)
        y = self.norms[0](x) * (1 + parts[1]) + parts[0]
        x = x + parts[2] * self.attention(y, y, y, need_weights=False)[0]
        y = self.norms[1](x) * (1 + parts[4]) + parts[3]
        mixed: Tensor = x + parts[5] * self.feed(y)
        return mixed


def video_tokens(latents: Tensor) -> Tensor:
    """Latents [b, 4, t, h, w] to tokens [b, t * h / 2 * w / 2, 16]."""
    b, c, t, h, w = latents.shape
    p = VIDEO_PATCH
    cells = latents.view(b, c, t, h // p, p, w // p, p).permute(0, 2, 3, 5, 1, 4, 6)
    return cells.reshape(b, t * (h // p) * (w // p), c * p * p)


def video_latents(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `video_tokens` for so many rows and columns of latents."""
    b, p, c = len(tokens), VIDEO_PATCH, VIDEO_CHANNELS
    cells = tokens.view(b, -1, rows // p, columns // p, c, p, p).permute(0, 4, 1, 2, 5, 3, 6)
    return cells.reshape(b, c, -1, rows, columns)


def audio_tokens(latents: Tensor) -> Tensor:
    """Latents [b, 16, l] to tokens [b, l // 16, 256]; what does not fill a token is lost."""
    b, c, length = latents.shape
    count = length // AUDIO_PATCH
    cells = latents[:, :, : count * AUDIO_PATCH].view(b, c, count, AUDIO_PATCH)
    return cells.permute(0, 2, 1, 3).flatten(2)


def audio_latents(tokens: Tensor) -> Tensor:
    """Tokens to latents [b, 16, 16 n]."""
    b, count, _ = tokens.shape
    cells = tokens.view(b, count, AUDIO_CHANNELS, AUDIO_PATCH).permute(0, 2, 1, 3)
    return cells.reshape(b, AUDIO_CHANNELS, count * AUDIO_PATCH)
