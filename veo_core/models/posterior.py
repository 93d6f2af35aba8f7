"""What a variational autoencoder's encoder says of a latent."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian over latents: mean and log-variance, [b, c, ...] each."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def from_channels(cls, channels: Tensor) -> Self:
        """Split the encoder's output [b, 2c, ...]."""
        mean, log_variance = channels.float().chunk(2, dim=1)
        return cls(mean, log_variance.clamp(-20.0, 4.0))

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean + noise * (0.5 * self.log_variance).exp()

    def kl(self) -> Tensor:
        """Kullback-Leibler divergence from the unit Gaussian, in nats per latent value."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance).mean()


class LatentStatistics(nn.Module):
    """Mean and standard deviation of each latent channel, measured once on the training set.

    They are buffers, stored with the autoencoder's weights, because the denoiser's noise levels assume
    latents of unit variance.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def measure(self, *raw: Tensor) -> None:
        """Take the statistics of raw latents [n, c, ...]; of several, each counts as much as the others."""
        channels = [latents.transpose(0, 1).flatten(1) for latents in raw]
        self.mean.copy_(torch.stack([values.mean(1) for values in channels]).mean(0))
        variances = [(values - self.mean[:, None]).square().mean(1) for values in channels]
        self.std.copy_(torch.stack(variances).mean(0).sqrt().clamp(min=1e-6))

    def normalise(self, raw: Tensor) -> Tensor:
        return (raw - self._wide(self.mean, raw)) / self._wide(self.std, raw)

    def restore(self, latents: Tensor) -> Tensor:
        return latents * self._wide(self.std, latents) + self._wide(self.mean, latents)

    def _wide(self, values: Tensor, like: Tensor) -> Tensor:
        return values.view(-1, *[1] * (like.dim() - 2))
