"""How noise levels are drawn in training, and which parts of a clip are given or left out.

Logit-normal levels with a shift: Esser et al. (2403.03206). The shift that grows with the number of
tokens, and a share of uniform levels, follow the trainer of LTX-2 (`timestep_samplers.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from veo_core.records.base import Record

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Shift = Annotated[float, Field(gt=0.0)] | Literal["auto"]


class NoiseConfig(Record):
    """How noise levels are drawn in training.

    The four shares of clips with a given or a missing modality exclude each other. What is given is at
    level 0 and carries no loss; what is missing is at level 1, where nothing of it can be seen.
    """

    video_shift: Shift = Field(
        default=2.0, description="above 1: picture levels lean to noise; auto: by the number of tokens"
    )
    audio_shift: Shift = Field(
        default=2.0, description="above 1: sound levels lean to noise; auto: by the number of tokens"
    )
    spread: float = Field(default=1.0, ge=0, description="standard deviation of the level's logit")
    uniform: Share = Field(default=0.0, description="share of clips whose levels are uniform, without shift")
    shared: Share = Field(default=0.5, description="share of clips whose sound takes the picture's level")
    first_frame: Share = Field(default=0.3, description="share of clips whose first frame is given clean")
    video_given: Share = Field(default=0.0, description="share of clips that train picture to sound")
    audio_given: Share = Field(default=0.0, description="share of clips that train sound to picture")
    video_dropout: Share = Field(default=0.0, description="share of clips that train without their picture")
    audio_dropout: Share = Field(default=0.0, description="share of clips that train without their sound")
    text_dropout: Share = Field(default=0.1, description="share of clips that train without their caption")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(self.modes) > 1.0 + 1e-9:
            raise ValueError(
                f"the shares of given and missing modalities sum to {sum(self.modes):.3g}, which is above 1"
            )
        return self

    @property
    def modes(self) -> tuple[float, float, float, float]:
        """Shares of clips with given picture, given sound, no picture, no sound."""
        return self.video_given, self.audio_given, self.video_dropout, self.audio_dropout


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """Move noise levels in [0, 1] towards 1 (`shift` above 1), keeping both ends."""
    return shift * sigma / (1.0 + (shift - 1.0) * sigma)


def token_shift(tokens: int) -> float:
    """LTX's shift for a sequence of `tokens`: e^0.95 at 1024, e^2.05 from 4096 on, its logarithm linear."""
    slope = (2.05 - 0.95) / (4096 - 1024)
    return math.exp(0.95 + slope * (min(tokens, 4096) - 1024))


@dataclass(frozen=True)
class Levels:
    """Noise levels of a batch: video [b, t], audio [b, 1], 0 for what is given; `drop_text` bool [b]."""

    video: Tensor
    audio: Tensor
    drop_text: Tensor


def draw_levels(
    config: NoiseConfig,
    count: int,
    frames: int,
    generator: torch.Generator,
    tokens: Sequence[int] | None = None,
) -> Levels:
    """Levels for `count` clips of `frames` latent frames.

    Picture and sound share the level's base draw in a part of the clips and are independent in the
    others, so that one model also does picture to sound and sound to picture.

    Args:
        tokens: numbers of picture and sound tokens, which a shift of `auto` depends on.
    """
    shifts = [
        _resolved(shift, tokens, place)
        for place, shift in enumerate((config.video_shift, config.audio_shift))
    ]
    base = torch.randn(count, 2, generator=generator) * config.spread
    choice = torch.rand(count, 5, generator=generator)
    flat = 1.0 - torch.rand(count, 2, generator=generator)
    shared = (choice[:, 0] < config.shared)[:, None]
    base, flat = (torch.where(shared, draw[:, :1], draw) for draw in (base, flat))
    leaning = torch.stack([shifted(base[:, k].sigmoid(), shift) for k, shift in enumerate(shifts)], dim=1)
    levels = torch.where((choice[:, 4] < config.uniform)[:, None], flat, leaning)

    edges = torch.tensor(config.modes).cumsum(0)
    mode = torch.bucketize(choice[:, 3].contiguous(), edges, right=True)
    video, audio = (levels[:, k : k + 1] * (mode != k)[:, None].float() for k in range(2))
    video = torch.where((mode == 2)[:, None], 1.0, video).repeat(1, frames)
    audio = torch.where((mode == 3)[:, None], 1.0, audio)
    first = (choice[:, 1] < config.first_frame) & (mode != 2)
    video[:, 0] *= ~first
    return Levels(video, audio, choice[:, 2] < config.text_dropout)


def _resolved(shift: float | Literal["auto"], tokens: Sequence[int] | None, place: int) -> float:
    if shift != "auto":
        return shift
    if tokens is None:
        raise ValueError("a shift of auto needs the numbers of tokens")
    return token_shift(tokens[place])
