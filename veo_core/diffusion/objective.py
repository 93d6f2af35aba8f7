"""What a denoiser learns: the protocol of objectives, and the loss that is common to them."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import Field
from torch import Tensor

from veo_core.models.transformer import JointTransformer, Modality
from veo_core.records.base import Record


class Objective(Protocol):
    """A path `alpha * data + beta * noise` from data to noise, and what is predicted along it.

    Noise levels `sigma` are in [0, 1], for each objective: 0 is data, 1 is noise.
    """

    def trained(self, sigma: Tensor) -> Tensor:
        """Levels moved up to the next ones that the model trains at; 0 stays 0, alone."""
        ...

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and beta at trained levels, shaped as `sigma`."""
        ...

    def noisy(self, data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """The points of the path at trained levels that broadcast to `data`."""
        ...

    def target(self, data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """What the model is to predict there."""
        ...

    def data(self, point: Tensor, prediction: Tensor, alpha: float, beta: float) -> Tensor:
        """The data that a prediction at `point` implies."""
        ...

    def schedule(self, steps: int, shift: float) -> list[float]:
        """`steps + 1` falling trained levels to sample at, from 1 to 0."""
        ...


@dataclass(frozen=True)
class Batch:
    """A training batch on the model's device: clean latents, noise alike, levels, caption ids.

    video [b, c, t, h, w]; audio [b, c, l]; sigma_video [b, t]; sigma_audio [b, 1]; tokens [b, m].
    The weights, shaped as the levels, say how much each latent's error counts. A process's share of a
    larger batch brings its part of that batch's weights (`counted`), so that the mean of the shares' losses
    is the loss of the whole batch. Left out, they are those of this batch.
    """

    video: Tensor
    audio: Tensor
    video_noise: Tensor
    audio_noise: Tensor
    sigma_video: Tensor
    sigma_audio: Tensor
    tokens: Tensor
    video_weight: Tensor | None = None
    audio_weight: Tensor | None = None


class LossConfig(Record):
    """How the losses of the modalities are summed."""

    video_weight: float = Field(default=1.0, ge=0, description="weight of the picture's loss")
    audio_weight: float = Field(default=1.0, ge=0, description="weight of the sound's loss")
    motion: float = Field(
        default=0.0, ge=0, description="how much more the picture's error counts where it moves"
    )


EVEN = LossConfig()


def counted(sigma: Tensor) -> Tensor:
    """Weights of mean 1 that leave out what is given: levels of 0."""
    noisy = (sigma > 0).float()
    return noisy * (noisy.numel() / noisy.sum().clamp(min=1.0))


def motion_weights(video: Tensor, strength: float) -> Tensor:
    """Weights [b, t, h, w], of mean 1 for each clip, of latents [b, c, t, h, w] of unit variance.

    What moves covers little of most pictures, yet a prompt is about it: each latent counts as 1 + `strength`
    times its squared distance from the mean of its place over time.
    """
    weights = 1.0 + strength * (video - video.mean(2, keepdim=True)).square().mean(1)
    return weights / weights.mean((1, 2, 3), keepdim=True)


def denoising_losses(
    objective: Objective, model: JointTransformer, batch: Batch, config: LossConfig = EVEN
) -> dict[str, Tensor]:
    """Mean squared error of each modality where there is noise, and their weighted sum as `loss`.

    A masked mean for each modality keeps the one with more latents from owning the loss.
    """
    sigma_video, sigma_audio = objective.trained(batch.sigma_video), objective.trained(batch.sigma_audio)
    video_level, audio_level = sigma_video[:, None, :, None, None], sigma_audio[:, None]
    video, audio = model(
        Modality(objective.noisy(batch.video, batch.video_noise, video_level), sigma_video),
        Modality(objective.noisy(batch.audio, batch.audio_noise, audio_level), sigma_audio),
        batch.tokens,
    )
    video_error = (video - objective.target(batch.video, batch.video_noise, video_level)).square().mean(1)
    audio_error = (audio - objective.target(batch.audio, batch.audio_noise, audio_level)).square()
    video_weight = counted(sigma_video) if batch.video_weight is None else batch.video_weight
    audio_weight = counted(sigma_audio) if batch.audio_weight is None else batch.audio_weight
    if config.motion:
        video_error = video_error * motion_weights(batch.video, config.motion)
    video_loss = (video_error.mean((2, 3)) * video_weight).mean()
    audio_loss = (audio_error.mean(1) * audio_weight).mean()
    total = config.video_weight * video_loss + config.audio_weight * audio_loss
    return {"loss": total, "video": video_loss.detach(), "audio": audio_loss.detach()}
