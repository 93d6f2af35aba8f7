"""Figures that training stages report."""

from collections.abc import Iterator

import torch
from torch import Tensor

from veo_core.data.mapped import Rows
from veo_core.train.runtime import Runtime


def batches(video: Tensor | Rows, runtime: Runtime, size: int = 32) -> Iterator[Tensor]:
    """Pictures uint8 [n, ...] in batches on the device, float in [-1, 1]."""
    for start in range(0, len(video), size):
        yield runtime.send(video[start : start + size]).float() / 127.5 - 1.0


def psnr(picture: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures [n, ...] in [-1, 1]: the mean over clips."""
    error = ((picture - truth) / 2).square().flatten(1).mean(1).clamp(min=1e-10)
    return float(-10.0 * torch.log10(error).mean())


def latent_spread(latents: Tensor) -> dict[str, float]:
    """Standard deviation of normalised latents [n, c, ...], and its least and greatest over channels."""
    channels = latents.float().transpose(0, 1).flatten(1).std(1)
    return {
        "latent_std": float(latents.float().std()),
        "latent_std_lowest": float(channels.min()),
        "latent_std_highest": float(channels.max()),
    }
