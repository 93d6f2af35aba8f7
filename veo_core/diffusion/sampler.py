"""Integration of a learned velocity from noise to data."""

import itertools
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from veo_core.diffusion.flow import shifted
from veo_core.diffusion.guidance import guided
from veo_core.models.transformer import JointTransformer, Modality
from veo_core.records.base import Record


class SamplerConfig(Record):
    """How clips are drawn from the base model."""

    steps: int = Field(default=16, description="Euler steps")
    shift: float = Field(default=2.0, description="above 1: more steps at high noise")
    video_guidance: float = Field(default=4.0, description="guidance scale of the picture, 1 for none")
    audio_guidance: float = Field(default=4.0, description="guidance scale of the sound, 1 for none")


def noise_schedule(steps: int, shift: float) -> list[float]:
    """`steps + 1` falling noise levels from 1 to 0."""
    levels: list[float] = shifted(torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64), shift).tolist()
    return levels


def euler(
    velocity: Callable[[tuple[Tensor, ...], float], tuple[Tensor, ...]],
    start: tuple[Tensor, ...],
    schedule: list[float],
) -> tuple[Tensor, ...]:
    """Follow `velocity(state, sigma)` along falling noise levels; exact where it is constant."""
    state = start
    for sigma, following in itertools.pairwise(schedule):
        slope = velocity(state, sigma)
        state = tuple(x + (following - sigma) * v for x, v in zip(state, slope, strict=True))
    return state


@torch.no_grad()
def sample(
    model: JointTransformer,
    tokens: Tensor,
    empty_tokens: Tensor,
    *,
    config: SamplerConfig,
    video_noise: Tensor,
    audio_noise: Tensor,
    first_frame: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw picture and sound latents for captions.

    Args:
        tokens: caption ids [b, m]. empty_tokens: ids of "no caption" [1, m].
        video_noise: [b, c, t, h, w]. audio_noise: [b, c, l].
        first_frame: clean latent frame [b, c, 1, h, w] to start from: it stays as it is.

    Returns:
        Normalised latents shaped as the noise.
    """
    count, _, frames = video_noise.shape[:3]
    given = torch.zeros(frames, dtype=torch.bool, device=video_noise.device)
    if first_frame is not None:
        given[0] = True
        video_noise = torch.cat([first_frame, video_noise[:, :, 1:]], dim=2)
    unguided = config.video_guidance == 1.0 and config.audio_guidance == 1.0
    both = tokens if unguided else torch.cat([tokens, empty_tokens.expand(count, -1)])
    copies = len(both) // count

    def velocity(state: tuple[Tensor, ...], sigma: float) -> tuple[Tensor, ...]:
        video, audio = (x.repeat(copies, *[1] * (x.dim() - 1)) for x in state)
        levels = torch.where(given, 0.0, sigma).expand(len(both), -1)
        sound_level = torch.full((len(both), 1), sigma, device=audio.device)
        slopes = model(Modality(video, levels), Modality(audio, sound_level), both)
        if not unguided:
            scales = (config.video_guidance, config.audio_guidance)
            slopes = tuple(
                guided(x[:count], x[count:], scale) for x, scale in zip(slopes, scales, strict=True)
            )
        return slopes[0] * ~given[None, None, :, None, None], slopes[1]

    schedule = noise_schedule(config.steps, config.shift)
    video, audio = euler(velocity, (video_noise, audio_noise), schedule)
    return video, audio
