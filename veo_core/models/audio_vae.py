"""The causal variational autoencoder of sound."""

import torch
from pydantic import Field
from torch import Tensor, nn

from veo_core.models.layers import AudioBlock, ChannelNorm
from veo_core.models.posterior import LatentStatistics, Posterior
from veo_core.records.base import Record


class AudioVAE(nn.Module):
    """Log-mel [b, mel_bins, 4k] to latents [b, c, k]. Mel bands are channels, so all layers are 1-D.

    Convolutions over time see the past only. The time patch is its own down- and upsampling: four mel
    frames make one latent.
    """

    class Config(Record):
        mel_bins: int = Field(default=64, description="mel bands; ClipSpec.mel_bins")
        width: int = Field(default=128, description="channels of the residual blocks")
        depth: int = Field(default=2, description="residual blocks of the encoder and of the decoder")
        latent_channels: int = 16
        time_factor: int = 4

        def latent_length(self, mel_frames: int) -> int:
            """Latents of a clip of so many mel frames."""
            if mel_frames % self.time_factor:
                raise ValueError(f"{mel_frames} mel frames are no multiple of {self.time_factor}")
            return mel_frames // self.time_factor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.mel_bins * config.time_factor
        self.encoder = nn.Sequential(
            nn.Conv1d(patch, width, 1),
            *[AudioBlock(width) for _ in range(config.depth)],
            ChannelNorm(width),
            nn.Conv1d(width, 2 * config.latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(config.latent_channels, width, 1),
            *[AudioBlock(width) for _ in range(config.depth)],
            ChannelNorm(width),
            nn.Conv1d(width, patch, 1),
        )
        self.statistics = LatentStatistics(config.latent_channels)

    @property
    def blocks(self) -> list[nn.Module]:
        """The repeated blocks of the encoder, then of the decoder."""
        return [layer for layer in (*self.encoder, *self.decoder) if isinstance(layer, AudioBlock)]

    def forward(self, mel: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Rebuild `mel` from a sample of its latents; also the divergence in nats per latent value."""
        posterior = self.posterior(mel)
        return self.reconstruct(posterior.sample(noise)), posterior.kl()

    def posterior(self, mel: Tensor) -> Posterior:
        """The distribution of raw latents, each [b, c, k]."""
        b, bins, length = mel.shape
        factor = self.config.time_factor
        patches = mel.view(b, bins, length // factor, factor).transpose(2, 3).flatten(1, 2)
        return Posterior.from_channels(self.encoder(patches))

    def reconstruct(self, raw: Tensor) -> Tensor:
        """Raw latents to log-mel."""
        factor = self.config.time_factor
        patches: Tensor = self.decoder(raw).float().unflatten(1, (self.config.mel_bins, factor))
        return patches.transpose(2, 3).flatten(2)

    @torch.no_grad()
    def encode(self, mel: Tensor) -> Tensor:
        """Log-mel to latents of zero mean and unit variance per channel."""
        return self.statistics.normalise(self.posterior(mel).mean)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to log-mel."""
        return self.reconstruct(self.statistics.restore(latents))
