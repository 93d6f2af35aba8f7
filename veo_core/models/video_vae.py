"""The causal variational autoencoder of pictures."""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from veo_core.data.spec import VideoFactors
from veo_core.models.codec import VideoCodec
from veo_core.models.layers import ChannelNorm, VideoBlock, patchify, unpatchify
from veo_core.models.posterior import LatentStatistics, Posterior
from veo_core.records.base import Record


class VideoVAE(VideoCodec):
    """Pictures [b, 3, 1 + 4k, h, w] in [-1, 1] to latents [b, c, 1 + k, h / 4, w / 4].

    Latent frame 0 is the first picture alone; each later one adds `time_factor` pictures. Convolutions
    over time see the past only, in the decoder too: a prefix of the clip has a prefix of its latents.
    It is fully convolutional: any picture whose sides are multiples of `space_factor` fits.
    """

    class Config(Record):
        width: int = Field(default=128, description="channels of the residual blocks")
        depth: int = Field(default=3, description="residual blocks of the encoder; the decoder has one more")
        latent_channels: int = 16
        time_factor: int = 4
        space_factor: int = 4

        @model_validator(mode="after")
        def _check(self) -> Self:
            if min(self.width, self.depth, self.latent_channels) < 1:
                raise ValueError("width, depth and latent_channels must be positive")
            return self

        def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
            """Latent [c, t, h, w] of a clip; a `UsageError` where it does not fit."""
            return self.latent_channels, *self.factors.latent_shape(frames, height, width)

        @property
        def factors(self) -> VideoFactors:
            return VideoFactors(time=self.time_factor, space=self.space_factor)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, 3 * config.time_factor * config.space_factor**2
        self.encoder = nn.Sequential(
            nn.Conv3d(patch, width, 1),
            *[VideoBlock(width) for _ in range(config.depth)],
            ChannelNorm(width),
            nn.Conv3d(width, 2 * config.latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv3d(config.latent_channels, width, 1),
            *[VideoBlock(width) for _ in range(config.depth + 1)],
            ChannelNorm(width),
            nn.Conv3d(width, patch, 1),
        )
        self.statistics = LatentStatistics(config.latent_channels)

    @property
    def blocks(self) -> list[nn.Module]:
        """The repeated blocks of the encoder, then of the decoder."""
        return [layer for layer in (*self.encoder, *self.decoder) if isinstance(layer, VideoBlock)]

    @property
    def channels(self) -> int:
        return self.config.latent_channels

    @property
    def factors(self) -> VideoFactors:
        return self.config.factors

    def forward(self, video: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Rebuild `video` from a sample of its latents; also the divergence in nats per latent value."""
        posterior = self.posterior(video)
        return self.reconstruct(posterior.sample(noise)), posterior.kl()

    def posterior(self, video: Tensor) -> Posterior:
        """The distribution of raw latents, each [b, c, 1 + k, h / 4, w / 4]."""
        padded = F.pad(video, (0, 0, 0, 0, self.config.time_factor - 1, 0), mode="replicate")
        patches = patchify(padded, self.config.time_factor, self.config.space_factor)
        return Posterior.from_channels(self.encoder(patches))

    def reconstruct(self, raw: Tensor) -> Tensor:
        """Raw latents to pictures in about [-1, 1]."""
        patches = self.decoder(raw).float()
        padded = unpatchify(patches, self.config.time_factor, self.config.space_factor)
        return padded[:, :, self.config.time_factor - 1 :]

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        """Pictures in [-1, 1] to latents of zero mean and unit variance per channel.

        Raises:
            UsageError: the pictures do not fit `factors`.
        """
        self.factors.latent_shape(*video.shape[2:])
        return self.statistics.normalise(self.posterior(video).mean)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to pictures in [-1, 1]."""
        return self.reconstruct(self.statistics.restore(latents)).clamp(-1.0, 1.0)
