"""The joint denoising transformer of picture and sound.

Both modalities attend to each other in one sequence; each has its own projections, feed-forward and
modulation, as in MMDiT (Esser et al., 2403.03206). Text enters as tokens by cross-attention, and its mean
joins the noise level in the modulation, as the pooled text does there. Modulation is adaLN-Zero (Peebles
and Xie, 2212.09748): every branch and the output start at zero.
"""

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.data.spec import ClipSpec
from veo_core.models.layers import attention, zero_
from veo_core.models.objective import ObjectiveConfig
from veo_core.models.positions import (
    CoordinateEmbedding,
    audio_positions,
    rotate,
    rotation,
    video_positions,
)
from veo_core.models.projectors import AudioProjector, VideoProjector, modulated
from veo_core.models.text import TextEncoder
from veo_core.records.base import Record


@dataclass(frozen=True)
class Modality:
    """One modality of a batch on its way through the noise.

    latents: picture [b, c, t, h, w] or sound [b, c, l].
    sigma: noise level in [0, 1] of each latent frame [b, t], or of the sound [b, 1] or of each of its tokens.
        Zero marks what is given: it conditions the rest.
    """

    latents: Tensor
    sigma: Tensor


class JointTransformer(nn.Module):
    """Predicts what `objective` names of picture and sound latents together: in most cases the velocity,
    noise minus data."""

    class Config(Record):
        clip: ClipSpec = Field(default=ClipSpec(), description="what the model generates")
        other_clips: tuple[ClipSpec, ...] = Field(
            default=(), description="further sizes and lengths that it trains on"
        )
        text: TextEncoder.Config = TextEncoder.Config()
        objective: ObjectiveConfig = ObjectiveConfig()
        video_channels: int = Field(default=16, description="channels of a picture latent")
        audio_channels: int = Field(default=16, description="channels of a sound latent")
        patch: int = Field(default=2, description="latents to a token along each side")
        audio_patch: int = Field(default=1, ge=1, description="sound latents in a row to a token")
        width: int = Field(default=128, description="channels of a token")
        depth: int = Field(default=6, description="transformer blocks")
        heads: int = Field(default=4, description="attention heads")
        expand: int = Field(default=4, description="width of the feed-forward in token widths")
        local_width: int = Field(
            default=64, description="channels of the convolutions around the transformer"
        )
        local_depth: int = Field(default=2, description="blocks of convolutions on either side, 0 for none")
        pooled_text: bool = Field(default=True, description="modulation sees the mean of the text, too")
        clock: Literal["seconds", "none"] = Field(
            default="seconds",
            description="none: picture and sound count their own latents, so that they share no clock",
        )
        coordinates: bool = Field(default=True, description="tokens are told their absolute position")

        @model_validator(mode="after")
        def _check(self) -> Self:
            if self.width % self.heads or self.width // self.heads % 8:
                raise ValueError(f"width {self.width} must be a multiple of 8 x heads ({self.heads})")
            for clip in (self.clip, *self.other_clips):
                self.grid_of(clip)
                self.audio_tokens_of(clip)
            return self

        def grid_of(self, clip: ClipSpec) -> tuple[int, int]:
            """Rows and columns of picture tokens of a clip."""
            cell = clip.video.space * self.patch
            if clip.base_height % cell or clip.base_width % cell:
                raise ValueError(
                    f"base picture {clip.base_height}x{clip.base_width} is no multiple of {cell}"
                )
            return clip.base_height // cell, clip.base_width // cell

        def audio_tokens_of(self, clip: ClipSpec) -> int:
            """Tokens of a clip's sound."""
            if clip.audio_latents % self.audio_patch:
                raise ValueError(
                    f"{clip.audio_latents} sound latents are no multiple of audio_patch {self.audio_patch}"
                )
            return clip.audio_latents // self.audio_patch

        @property
        def grid(self) -> tuple[int, int]:
            """Rows and columns of picture tokens."""
            return self.grid_of(self.clip)

        @property
        def token_counts(self) -> tuple[int, int]:
            """Tokens of a clip's picture and of its sound."""
            rows, columns = self.grid
            return self.clip.latent_frames * rows * columns, self.audio_tokens_of(self.clip)

        @property
        def video_shape(self) -> tuple[int, int, int, int]:
            """Picture latents of a clip, [c, t, h, w]."""
            rows, columns = self.grid
            frames = self.clip.latent_frames
            return self.video_channels, frames, rows * self.patch, columns * self.patch

        @property
        def audio_shape(self) -> tuple[int, int]:
            """Sound latents of a clip, [c, l]."""
            return self.audio_channels, self.clip.audio_latents

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.grids = nn.ModuleList(Grid(config, clip) for clip in (config.clip, *config.other_clips))
        self.video = VideoProjector(
            config.video_channels, config.patch, width, config.local_width, config.local_depth
        )
        self.audio = AudioProjector(config.audio_channels, config.audio_patch, width)
        if config.coordinates:
            self.coordinates = nn.ModuleList(CoordinateEmbedding(width) for _ in range(2))
        self.levels = nn.ModuleList(LevelEmbedding(width) for _ in range(2))
        self.text = TextEncoder(config.text, width)
        self.pool = PooledText(width) if config.pooled_text else None
        self.blocks = nn.ModuleList(JointBlock(config) for _ in range(config.depth))

    def forward(self, video: Modality, audio: Modality, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions shaped as `video.latents` and `audio.latents`.

        Args:
            video: latents [b, c, t, h, w], sigma [b, t].
            audio: latents [b, c, l], sigma [b, 1] or [b, l / audio_patch].
            tokens: caption ids [b, m].

        Raises:
            ValueError: the latents are of no clip of the configuration.
        """
        context, mask = self.text(tokens)
        levels = [level(m.sigma) for level, m in zip(self.levels, (video, audio), strict=True)]
        if self.pool is not None:
            pooled = self.pool(context, mask)[:, None]
            levels = [level + pooled for level in levels]
        levels = [F.silu(level) for level in levels]

        grid = self._grid(video.latents, audio.latents)
        picture, local = self.video.read(video.latents, levels[0])
        streams = [picture, self.audio.read(audio.latents)]
        if self.config.coordinates:
            places = torch.split(grid.places, grid.lengths)
            streams = [x + embed(at) for x, embed, at in zip(streams, self.coordinates, places, strict=True)]
        for block in self.blocks:
            streams = block(streams, levels, (grid.cosine, grid.sine), context, mask)
        return self.video.write(streams[0], local, levels[0]), self.audio.write(streams[1], levels[1])

    def _grid(self, video: Tensor, audio: Tensor) -> "Grid":
        shape = (*video.shape[2:], audio.shape[2])
        for grid in self.grids:
            if grid.shape == shape:
                assert isinstance(grid, Grid)
                return grid
        raise ValueError(f"latents {shape} fit none of {[grid.shape for grid in self.grids]}")


class Grid(nn.Module):
    """Where the tokens of a clip are.

    Attributes:
        shape: latents (t, h, w) of the picture, and their number in the sound.
        lengths: picture tokens, sound tokens.
        places: positions [n, 3] of all tokens (positions.py). cosine, sine: their rotation.
    """

    cosine: Tensor
    sine: Tensor
    places: Tensor

    def __init__(self, config: JointTransformer.Config, clip: ClipSpec) -> None:
        super().__init__()
        seconds = [clip.latent_seconds(), clip.audio_latent_seconds()]
        if config.clock == "none":
            seconds = [[float(index) for index in range(len(times))] for times in seconds]
        rows, columns = config.grid_of(clip)
        sound = [fmean(part) for part in zip(*[iter(seconds[1])] * config.audio_patch, strict=True)]
        positions = [video_positions(seconds[0], rows, columns), audio_positions(sound)]
        self.shape = (len(seconds[0]), rows * config.patch, columns * config.patch, len(seconds[1]))
        self.lengths = [len(part) for part in positions]
        places = torch.cat(positions)
        cosine, sine = rotation(places, config.width // config.heads)
        for name, tensor in (("places", places), ("cosine", cosine), ("sine", sine)):
            self.register_buffer(name, tensor, persistent=False)


class LevelEmbedding(nn.Module):
    """Noise levels [b, g] in [0, 1] to conditioning vectors [b, g, width]."""

    frequencies: Tensor

    def __init__(self, width: int, pairs: int = 32) -> None:
        super().__init__()
        frequencies = torch.logspace(0, 2.5, pairs) * math.pi / 2
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.first, self.second = nn.Linear(2 * pairs, width), nn.Linear(width, width)

    def forward(self, sigma: Tensor) -> Tensor:
        angles = sigma[..., None] * self.frequencies
        hidden = self.first(torch.cat([angles.cos(), angles.sin()], dim=-1))
        embedded: Tensor = self.second(F.silu(hidden))
        return embedded


class PooledText(nn.Module):
    """Text features [b, m, width] to one conditioning vector [b, width]; zero at the start of training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        zero_(self.second)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """The mask [b, 1, 1, m] is True at the features that count."""
        counted = mask[:, 0, 0, :, None].to(features.dtype)
        mean = (features * counted).sum(1) / counted.sum(1).clamp(min=1.0)
        vector: Tensor = self.second(F.silu(self.first(mean)))
        return vector


class JointBlock(nn.Module):
    """Joint self-attention, cross-attention to text, feed-forward."""

    def __init__(self, config: JointTransformer.Config) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.video, self.audio = StreamLayers(config), StreamLayers(config)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.text_out = nn.Linear(width, width)
        zero_(self.text_out)

    def forward(
        self,
        streams: list[Tensor],
        levels: list[Tensor],
        turn: tuple[Tensor, Tensor],
        context: Tensor,
        mask: Tensor,
    ) -> list[Tensor]:
        """Streams [b, n, width] under levels [b, g, width]; context [b, m, width], mask [b, 1, 1, m]."""
        lengths = [x.shape[1] for x in streams]
        layers = (self.video, self.audio)
        modulations = [
            layer.modulate(level).chunk(6, -1) for layer, level in zip(layers, levels, strict=True)
        ]

        parts = [
            layer.project(modulated(x, mod[0], mod[1]), self.heads)
            for layer, x, mod in zip(layers, streams, modulations, strict=True)
        ]
        q, k, v = (torch.cat(pieces, dim=2) for pieces in zip(*parts, strict=True))
        mixed = attention(rotate(q, *turn), rotate(k, *turn), v).transpose(1, 2).flatten(2)
        streams = [
            x + _gated(layer.out(y), mod[2])
            for layer, x, y, mod in zip(
                layers, streams, torch.split(mixed, lengths, 1), modulations, strict=True
            )
        ]

        joint = torch.cat(streams, dim=1)
        streams = list(torch.split(joint + self._read(joint, context, mask), lengths, 1))

        return [
            x + _gated(layer.feed(modulated(x, mod[3], mod[4])), mod[5])
            for layer, x, mod in zip(layers, streams, modulations, strict=True)
        ]

    def _read(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """What each token takes from the text, [b, n, width]."""
        q = _split_heads(self.query(F.layer_norm(x, x.shape[-1:])), self.heads)
        k, v = (_split_heads(part, self.heads) for part in self.key_value(context).chunk(2, dim=-1))
        q, k = (F.rms_norm(part.float(), part.shape[-1:]) for part in (q, k))
        read: Tensor = self.text_out(attention(q, k, v, mask).transpose(1, 2).flatten(2))
        return read


class StreamLayers(nn.Module):
    """What a modality has of its own in a block."""

    def __init__(self, config: JointTransformer.Config) -> None:
        super().__init__()
        width = config.width
        self.modulate = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.query_scale = nn.Parameter(torch.ones(width // config.heads))
        self.key_scale = nn.Parameter(torch.ones(width // config.heads))
        self.out = nn.Linear(width, width)
        self.rise = nn.Linear(width, config.expand * width)
        self.fall = nn.Linear(config.expand * width, width)
        zero_(self.modulate)

    def project(self, x: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of unit root mean square, and values; [b, heads, n, head_width] each."""
        q, k, v = (_split_heads(part, heads) for part in self.qkv(x).chunk(3, dim=-1))
        q = F.rms_norm(q.float(), q.shape[-1:], self.query_scale)
        return q, F.rms_norm(k.float(), k.shape[-1:], self.key_scale), v

    def feed(self, x: Tensor) -> Tensor:
        y: Tensor = self.fall(F.gelu(self.rise(x)))
        return y


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """[b, n, heads * d] to [b, heads, n, d]."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _gated(x: Tensor, gate: Tensor) -> Tensor:
    groups = x.view(len(x), gate.shape[1], -1, x.shape[2])
    return (groups * gate.unsqueeze(2)).flatten(1, 2)
