"""Mean and standard deviation of latents by channel, gathered over shards."""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from veo_core.records.base import Record


class ChannelSums(Record):
    """Sums over the latents of a shard, [channels] each."""

    count: int
    totals: list[float]
    squares: list[float]

    @classmethod
    def of(cls, latents: Tensor) -> Self:
        """Sums of latents [n, c, ...]."""
        values = latents.transpose(0, 1).flatten(1).double()
        return cls(
            count=values.shape[1],
            totals=values.sum(1).tolist(),
            squares=values.square().sum(1).tolist(),
        )


class ChannelStatistics(Record):
    """Of each channel, [channels]; of trained codecs about 0 and 1."""

    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, sums: Iterable[ChannelSums]) -> Self:
        """Statistics of all shards together; of at least one."""
        parts = list(sums)
        count = sum(part.count for part in parts)
        mean = torch.tensor([part.totals for part in parts], dtype=torch.float64).sum(0) / count
        square = torch.tensor([part.squares for part in parts], dtype=torch.float64).sum(0) / count
        std = (square - mean.square()).clamp(min=0.0).sqrt()
        return cls(mean=mean.tolist(), std=std.tolist())

    @property
    def overall_std(self) -> float:
        """Standard deviation over all channels together."""
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return float((std.square().mean() + mean.var(correction=0)).sqrt())
