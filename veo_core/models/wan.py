"""Wan's autoencoder of pictures as a codec, through diffusers."""

from typing import Any, Literal, Self

import torch
from diffusers import AutoencoderKLWan
from pydantic import Field
from torch import Tensor

from veo_core.data.spec import VideoFactors
from veo_core.errors import UsageError
from veo_core.models.codec import VideoCodec
from veo_core.models.posterior import LatentStatistics
from veo_core.models.pretrained import from_folder, loaded, opened_folder, plain_config
from veo_core.records.base import Record

_TIME = 4
"""Frames that diffusers' Wan takes at a time after the first one, whatever its configuration says."""


class WanCodec(VideoCodec):
    """`AutoencoderKLWan` of Wan 2.1 (4x8x8, 16 channels) and 2.2 (4x16x16, 48 channels): frozen.

    Raises:
        UsageError: its configuration is none that diffusers can run.
    """

    class Config(Record):
        kind: Literal["wan"] = "wan"
        autoencoder: dict[str, Any] = Field(description="diffusers' configuration")

    def __init__(self, config: Config, autoencoder: AutoencoderKLWan | None = None) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = autoencoder or loaded(
            lambda: AutoencoderKLWan.from_config(config.autoencoder), where="wan codec config"
        )
        values = self.autoencoder.config
        if 2 ** sum(values.temperal_downsample) != _TIME:
            raise UsageError(
                f"wan codec config: temperal_downsample must shrink time by {_TIME}, got "
                f"{values.temperal_downsample}"
            )
        self._factors = VideoFactors(
            time=_TIME, space=2 ** (len(values.dim_mult) - 1) * (values.patch_size or 1)
        )
        self.statistics = LatentStatistics(values.z_dim)
        self.statistics.mean.copy_(torch.tensor(values.latents_mean))
        self.statistics.std.copy_(torch.tensor(values.latents_std))

    @classmethod
    def open(cls, path: str) -> Self:
        """Load from a folder or URI: of the autoencoder, or of a pipeline with a sub-folder `vae`.

        Raises:
            UsageError: it holds no such weights.
        """
        where = f"wan codec {path}"
        with opened_folder(path, where=where) as folder:
            autoencoder = from_folder(AutoencoderKLWan, folder, "vae", where=where)
        codec = cls(cls.Config(autoencoder=plain_config(autoencoder.config)), autoencoder)
        return codec.eval().requires_grad_(False)

    @property
    def channels(self) -> int:
        return len(self.statistics.mean)

    @property
    def factors(self) -> VideoFactors:
        return self._factors

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        self.factors.latent_shape(*video.shape[2:])
        return self.statistics.normalise(self.autoencoder.encode(video).latent_dist.mode().float())

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        pictures: Tensor = self.autoencoder.decode(self.statistics.restore(latents)).sample
        return pictures.float().clamp(-1.0, 1.0)
