"""Flow matching: straight paths from data to noise, and the velocity along them.

Liu et al., "Flow Straight and Fast" (2209.03003). Along a path `x_s = (1 - s) x_0 + s n` the velocity
is `n - x_0`.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from veo_core.diffusion.levels import shifted


def interpolate(data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point at level `sigma` (broadcast) on the path from data to noise."""
    return data + sigma * (noise - data)


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


class FlowMatching:
    """The objective of the velocity `noise - data`."""

    def trained(self, sigma: Tensor) -> Tensor:
        return sigma

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return 1.0 - sigma, sigma

    def noisy(self, data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return interpolate(data, noise, sigma)

    def target(self, data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return noise - data

    def data(self, point: Tensor, prediction: Tensor, alpha: float, beta: float) -> Tensor:
        return point - beta * prediction

    def schedule(self, steps: int, shift: float) -> list[float]:
        return noise_schedule(steps, shift)
