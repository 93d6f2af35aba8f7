"""DDPM with prediction of the noise (Ho et al., 2006.11239) or of v (Salimans and Ho, 2202.00512).

The tables are those of diffusers' `DDPMScheduler`: linear betas, or the cosine ones of Nichol and Dhariwal
(2102.09672), on request rescaled to a last level without signal (Lin et al., 2305.08891). A timestep `t`
is counted from 1 to T as in the paper, one more than diffusers' index, and the model sees it as the noise
level `t / T`: so 1 is the noisiest level, and 0 is clean data here, too.
"""

from typing import Any

import torch
from torch import Tensor

from veo_core.errors import UsageError
from veo_core.models.objective import ObjectiveConfig


class DDPM:
    """The objective of `epsilon = noise` or `v = alpha * noise - beta * data`."""

    def __init__(self, config: ObjectiveConfig, device: torch.device | None = None) -> None:
        """Tables are kept on the CPU and on `device`; they follow to others where they are asked for."""
        self.config = config
        kept = torch.cat([torch.ones(1, dtype=torch.float64), scheduler(config).alphas_cumprod.double()])
        self._table = torch.stack([kept.sqrt(), (1.0 - kept).sqrt()]).float()
        self._placed = {table.device: table for table in (self._table, self._table.to(device))}

    def trained(self, sigma: Tensor) -> Tensor:
        return self._timestep(sigma) / self.config.timesteps

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        if sigma.device not in self._placed:
            self._placed[sigma.device] = self._table.to(sigma.device)
        alpha, beta = self._placed[sigma.device][:, self._timestep(sigma).long()]
        return alpha, beta

    def noisy(self, data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        alpha, beta = self.coefficients(sigma)
        return alpha * data + beta * noise

    def target(self, data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        if self.config.prediction == "epsilon":
            return noise
        alpha, beta = self.coefficients(sigma)
        return alpha * noise - beta * data

    def data(self, point: Tensor, prediction: Tensor, alpha: float, beta: float) -> Tensor:
        if self.config.prediction == "epsilon":
            return (point - beta * prediction) / alpha
        return alpha * point - beta * prediction

    def schedule(self, steps: int, shift: float) -> list[float]:
        """Evenly spaced timesteps from the noisiest on (`trailing` in diffusers); a shift does not apply.

        Raises:
            UsageError: there are fewer timesteps than steps.
        """
        total = self.config.timesteps
        if steps > total:
            raise UsageError(f"sampler.steps: {steps} steps, but the model knows {total} noise levels")
        return [round(left * total / steps) / total for left in range(steps, -1, -1)]

    def _timestep(self, sigma: Tensor) -> Tensor:
        """Timesteps 0 to T as floats, those between two moved up; levels may be off by their rounding."""
        return (sigma * self.config.timesteps - 1e-3).ceil().clamp(min=1.0) * (sigma > 0)


def scheduler(config: ObjectiveConfig) -> Any:
    """Diffusers' scheduler of such a model; its `step` takes the predicted data."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    return DDPMScheduler(
        num_train_timesteps=config.timesteps,
        beta_schedule={"linear": "linear", "cosine": "squaredcos_cap_v2"}[config.betas],
        rescale_betas_zero_snr=config.zero_terminal_snr,
        prediction_type="sample",
        clip_sample=False,
    )
