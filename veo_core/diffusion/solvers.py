"""Steps from noise to data, given the data that a model expects at each of them.

Solvers know the path's `alpha` and `beta` (data and noise in a point) as Python numbers and make no step
wait for the device. A solver serves one modality of one draw: those of higher order remember.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from veo_core.diffusion.ddpm import scheduler
from veo_core.models.objective import ObjectiveConfig

Path = Sequence[tuple[float, float]]
"""Alpha and beta at each noise level of a schedule; the last is (1, 0)."""


class Solver(Protocol):
    """Takes a state along a schedule."""

    def step(self, index: int, state: Tensor, data: Tensor) -> Tensor:
        """The state at level `index + 1` from that at `index` and the data expected there."""
        ...


class FirstOrder:
    """Keeps the expected data and noise for the whole step.

    On the straight path of flow matching this is Euler's method; on that of DDPM it is DDIM without noise
    (Song et al., 2010.02502).
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, index: int, state: Tensor, data: Tensor) -> Tensor:
        (alpha, beta), (next_alpha, next_beta) = self.path[index : index + 2]
        ratio = next_beta / beta
        return ratio * state + (next_alpha - ratio * alpha) * data


class UniPC:
    """Predictor and corrector of second order: Zhao et al. (2302.04867), data prediction, B(h) = e^h - 1.

    Equal to diffusers' `UniPCMultistepScheduler` of order 2, which computes its coefficients on the device
    and waits for them at each step.
    """

    NEAR_NOISE = 1e-6
    """The least alpha: the logarithmic signal-to-noise ratio is finite at pure noise."""

    def __init__(self, path: Path) -> None:
        self.path = [(max(alpha, self.NEAR_NOISE), beta) for alpha, beta in path]
        self.ratios = [math.log(alpha / beta) if beta else math.inf for alpha, beta in self.path]
        self.order = 0
        self.data: list[Tensor] = []
        self.state: Tensor | None = None

    def step(self, index: int, state: Tensor, data: Tensor) -> Tensor:
        if self.state is not None:
            state = self._corrected(index, data)
        self.data = [*self.data[-1:], data]
        self.order = min(2, index + 1, len(self.path) - 1 - index)
        self.state = state
        return self._predicted(index)

    def _predicted(self, index: int) -> Tensor:
        """The state at `index + 1` from what is known at `index`."""
        assert self.state is not None
        decay, gain, _ = self._terms(index, index + 1)
        result = decay * self.state - gain * self.data[-1]
        if self.order == 2:
            result = result - 0.5 * gain / self._spacing(index) * (self.data[-2] - self.data[-1])
        return result

    def _corrected(self, index: int, data: Tensor) -> Tensor:
        """The state at `index` once the data expected there is known."""
        assert self.state is not None
        decay, gain, (first, second) = self._terms(index - 1, index)
        last = self.data[-1]
        result = decay * self.state - gain * last
        if self.order == 1:
            return result - 0.5 * gain * (data - last)
        spacing = self._spacing(index - 1)
        slope = (first - second) / (1.0 - spacing)
        result = result - gain * slope / spacing * (self.data[-2] - last)
        return result - gain * (first - slope) * (data - last)

    def _terms(self, start: int, end: int) -> tuple[float, float, tuple[float, float]]:
        """Weights of the state and of the data from one level to the other, and the moments of order 2."""
        alpha, beta = self.path[end]
        step = self.ratios[start] - self.ratios[end]
        gain = math.expm1(step)
        if math.isinf(step):
            return 0.0, alpha * gain, (0.0, 0.0)
        phi = gain / step - 1.0
        moments = phi / gain, 2.0 * (phi / step - 0.5) / gain
        return beta / self.path[start][1], alpha * gain, moments

    def _spacing(self, index: int) -> float:
        """The step before `index` in units of the one after it, negative."""
        before, here, after = self.ratios[index - 1 : index + 2]
        return (before - here) / (after - here)


class Ancestral:
    """DDPM's own steps, which add fresh noise (Ho et al., 2006.11239), through diffusers' scheduler."""

    def __init__(
        self, config: ObjectiveConfig, schedule: Sequence[float], generators: Sequence[torch.Generator]
    ) -> None:
        """
        Args:
            schedule: falling noise levels to 0.
            generators: one for each clip, of the latents' device or (equal noise anywhere) the CPU.
        """
        self.timesteps = [round(level * config.timesteps) - 1 for level in schedule[:-1]]
        self.scheduler = scheduler(config)
        self.scheduler.set_timesteps(timesteps=self.timesteps)
        self.generators = list(generators)

    def step(self, index: int, state: Tensor, data: Tensor) -> Tensor:
        result = self.scheduler.step(data, self.timesteps[index], state, generator=self.generators)
        following: Tensor = result.prev_sample
        return following
