"""The upsampler's objective and its sampling; both blur the base latents with noise in the same way."""

import torch
from pydantic import Field
from torch import Tensor

from veo_core.diffusion.flow import interpolate, shifted
from veo_core.diffusion.sampler import euler, noise_schedule
from veo_core.models.upsampler import Upsampler
from veo_core.records.base import Record


class CascadeNoise(Record):
    """How noise levels are drawn in training the upsampler."""

    shift: float = Field(default=1.0, description="above 1: levels lean to noise")
    spread: float = Field(default=1.0, description="standard deviation of the level's logit")
    base_limit: float = Field(default=0.4, description="highest noise level of the base latents")


class CascadeSampler(Record):
    """How the upsampler draws."""

    steps: int = Field(default=4, description="Euler steps")
    shift: float = Field(default=1.0, description="above 1: more steps at high noise")
    base_sigma: float = Field(default=0.1, description="noise level put on the base latents")


def upsampler_loss(
    model: Upsampler, full: Tensor, base: Tensor, noise: tuple[Tensor, Tensor], levels: tuple[Tensor, Tensor]
) -> Tensor:
    """Mean squared velocity error.

    Args:
        full, base: clean latents [b, c, t, H, W] and [b, c, t, h, w]; `noise` has the same shapes.
        levels: noise levels [b] of the full-size and of the base latents.
    """
    sigma, base_sigma = levels
    noisy = interpolate(full, noise[0], sigma[:, None, None, None, None])
    blurred = interpolate(base, noise[1], base_sigma[:, None, None, None, None])
    velocity = model(noisy, sigma, blurred, base_sigma)
    loss: Tensor = (velocity - (noise[0] - full)).square().mean()
    return loss


def draw_cascade_levels(
    config: CascadeNoise, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Levels [count] of the full-size latents, logit-normal, and of the base latents, uniform."""
    sigma = shifted((torch.randn(count, generator=generator) * config.spread).sigmoid(), config.shift)
    return sigma, torch.rand(count, generator=generator) * config.base_limit


@torch.no_grad()
def upsample(
    model: Upsampler, base: Tensor, *, config: CascadeSampler, noise: Tensor, base_noise: Tensor
) -> Tensor:
    """Full-size latents shaped as `noise` [b, c, t, H, W] from base latents [b, c, t, h, w]."""
    blurred = interpolate(base, base_noise, torch.tensor(config.base_sigma, device=base.device))
    base_level = torch.full((len(base),), config.base_sigma, device=base.device)

    def velocity(state: tuple[Tensor, ...], sigma: float) -> tuple[Tensor, ...]:
        level = torch.full((len(base),), sigma, device=base.device)
        return (model(state[0], level, blurred, base_level),)

    (latents,) = euler(velocity, (noise,), noise_schedule(config.steps, config.shift))
    return latents
