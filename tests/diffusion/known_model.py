"""Denoisers that know the distribution of the data, in place of learned ones."""

import torch
from torch import Tensor

from veo_core.diffusion.objective import Objective
from veo_core.models.objective import ObjectiveConfig


class KnownModel:
    """What a perfect model of independent values predicts, each a mixture of normal distributions."""

    def __init__(
        self,
        config: ObjectiveConfig,
        objective: Objective,
        means: tuple[float, ...],
        deviation: float,
    ) -> None:
        self.config, self.objective, self.means, self.deviation = config, objective, means, deviation

    def __call__(self, video, audio, tokens) -> tuple[Tensor, Tensor]:
        sigma = video.sigma[:, None, :, None, None]
        return self.predict(video.latents, sigma), self.predict(audio.latents, audio.sigma[:, None])

    def predict(self, point: Tensor, sigma: Tensor) -> Tensor:
        alpha, beta = (x.to(point) for x in self.objective.coefficients(sigma))
        data = self.expected(point, alpha, beta)
        noise = torch.where(beta > 0, (point - alpha * data) / beta.clamp(min=1e-12), 0.0)
        if self.config.prediction == "velocity":
            return noise - data
        return noise if self.config.prediction == "epsilon" else alpha * noise - beta * data

    def expected(self, point: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """The mean of the data behind points `alpha * data + beta * noise`."""
        means = torch.tensor(self.means, dtype=point.dtype).view(-1, *[1] * point.dim())
        variance = (alpha * self.deviation) ** 2 + beta**2
        share = (-((point - alpha * means) ** 2) / (2.0 * variance)).softmax(0)
        inner = means + alpha * self.deviation**2 / variance * (point - alpha * means)
        return (share * inner).sum(0)
