"""The upsampler's objective with its sampling: a flow from enlarged base latents to full-size ones.

The path starts at the base picture, enlarged and blurred with noise, in place of pure noise, so that the
model learns what is missing and nothing else: Albergo et al., "Stochastic Interpolants with
Data-Dependent Couplings" (2310.03725). The condition carries noise of its own, of a level that the model
is told, in training and sampling alike (noise augmentation: Ho et al., 2106.15282), because generated
base latents are not as clean as encoded ones.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from veo_core.diffusion.flow import euler, interpolate, noise_schedule
from veo_core.models.codec import VideoCodec
from veo_core.models.upsampler import Upsampler
from veo_core.records.base import Record
from veo_core.records.drawing import CascadeSampler


class CascadeNoise(Record):
    """How much noise there is in training the upsampler."""

    start: float = Field(default=0.5, description="noise on the enlarged latents that the path starts from")
    condition: float = Field(default=0.4, description="highest level of noise on the condition")


@torch.no_grad()
def enlarge(pictures: VideoCodec, base: Tensor, scale: int) -> Tensor:
    """Full-size latents of bicubically enlarged pictures: [b, c, t, h, w] to [b, c, t, H, W]."""
    return pictures.encode(enlarge_pictures(pictures.decode(base), scale))


def enlarge_pictures(video: Tensor, scale: int) -> Tensor:
    """Bicubic interpolation of pictures in [-1, 1], [b, 3, t, h, w]."""
    frames = video.transpose(1, 2)
    flat = F.interpolate(frames.flatten(0, 1).float(), scale_factor=scale, mode="bicubic").clamp(-1.0, 1.0)
    return flat.view(*frames.shape[:2], *flat.shape[1:]).transpose(1, 2)


def upsampler_loss(
    model: Upsampler,
    full: Tensor,
    enlarged: Tensor,
    noise: tuple[Tensor, Tensor],
    levels: tuple[Tensor, Tensor],
    start: float,
) -> Tensor:
    """Mean squared error of the velocity along the path from `full` to the blurred `enlarged`.

    Args:
        full, enlarged: clean latents [b, c, t, H, W]; both tensors of `noise` have the same shape.
        levels: where on the path [b], in [0, 1]; noise level of the condition [b].
        start: noise on the path's far end.
    """
    place, blur = levels
    source = enlarged + start * noise[0]
    condition = enlarged + blur[:, None, None, None, None] * noise[1]
    point = interpolate(full, source, place[:, None, None, None, None])
    loss: Tensor = (model(point, place, condition, blur) - (source - full)).square().mean()
    return loss


@torch.no_grad()
def upsample(
    model: Upsampler, enlarged: Tensor, *, config: CascadeSampler, noise: tuple[Tensor, Tensor]
) -> Tensor:
    """Full-size latents from enlarged base latents; all [b, c, t, H, W]."""
    source = enlarged + config.start * noise[0]
    condition = enlarged + config.condition * noise[1]
    blur = torch.full((len(enlarged),), config.condition, device=enlarged.device)

    def velocity(state: tuple[Tensor, ...], place: float) -> tuple[Tensor, ...]:
        return (model(state[0], torch.full_like(blur, place), condition, blur),)

    (latents,) = euler(velocity, (source,), noise_schedule(config.steps, 1.0))
    return latents
