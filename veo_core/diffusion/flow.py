"""Rectified flow: straight paths from data to noise, and how noise levels are drawn.

Liu et al., "Flow Straight and Fast" (2209.03003); logit-normal levels with a shift from Esser et al.
(2403.03206). Along a path `x_s = (1 - s) x_0 + s n` the velocity is `n - x_0`.
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from veo_core.models.transformer import JointTransformer, Modality
from veo_core.records.base import Record


class NoiseConfig(Record):
    """How noise levels are drawn in training."""

    video_shift: float = Field(default=2.0, description="above 1: picture levels lean to noise")
    audio_shift: float = Field(default=2.0, description="above 1: sound levels lean to noise")
    spread: float = Field(default=1.0, description="standard deviation of the level's logit")
    shared: float = Field(default=0.5, description="share of clips whose sound takes the picture's level")
    first_frame: float = Field(default=0.3, description="share of clips whose first frame is given clean")
    text_dropout: float = Field(default=0.1, description="share of clips that train without their caption")


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """Move noise levels in [0, 1] towards 1 (`shift` above 1), keeping both ends."""
    return shift * sigma / (1.0 + (shift - 1.0) * sigma)


def interpolate(data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point at level `sigma` (broadcast) on the path from data to noise."""
    return data + sigma * (noise - data)


@dataclass(frozen=True)
class Levels:
    """Noise levels of a batch: video [b, t], audio [b, 1]; `drop_text` bool [b]."""

    video: Tensor
    audio: Tensor
    drop_text: Tensor


def draw_levels(config: NoiseConfig, count: int, frames: int, generator: torch.Generator) -> Levels:
    """Levels for `count` clips of `frames` latent frames.

    Picture and sound share the level's base draw in a part of the clips and are independent in the
    others, so that one model also does picture to sound and sound to picture.
    """
    base = torch.randn(count, 2, generator=generator) * config.spread
    choice = torch.rand(count, 3, generator=generator)
    base[:, 1] = torch.where(choice[:, 0] < config.shared, base[:, 0], base[:, 1])
    video = shifted(base[:, :1].sigmoid(), config.video_shift).repeat(1, frames)
    video[:, 0] *= choice[:, 1] >= config.first_frame
    audio = shifted(base[:, 1:].sigmoid(), config.audio_shift)
    return Levels(video, audio, choice[:, 2] < config.text_dropout)


@dataclass(frozen=True)
class Batch:
    """A training batch on the model's device: clean latents, noise alike, levels, caption ids.

    video [b, c, t, h, w]; audio [b, c, l]; sigma_video [b, t]; sigma_audio [b, 1]; tokens [b, m].
    """

    video: Tensor
    audio: Tensor
    video_noise: Tensor
    audio_noise: Tensor
    sigma_video: Tensor
    sigma_audio: Tensor
    tokens: Tensor


def flow_losses(model: JointTransformer, batch: Batch) -> dict[str, Tensor]:
    """Mean squared velocity error of each modality where there is noise, and their sum as `loss`."""
    level = batch.sigma_video[:, None, :, None, None]
    noisy_video = interpolate(batch.video, batch.video_noise, level)
    noisy_audio = interpolate(batch.audio, batch.audio_noise, batch.sigma_audio[:, None])
    video, audio = model(
        Modality(noisy_video, batch.sigma_video), Modality(noisy_audio, batch.sigma_audio), batch.tokens
    )
    video_error = (video - (batch.video_noise - batch.video)).square().mean((1, 3, 4))
    counted = (batch.sigma_video > 0).float()
    video_loss = (video_error * counted).sum() / counted.sum().clamp(min=1.0)
    audio_loss = (audio - (batch.audio_noise - batch.audio)).square().mean()
    return {"loss": video_loss + audio_loss, "video": video_loss.detach(), "audio": audio_loss.detach()}
