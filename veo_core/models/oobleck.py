"""Stable Audio's autoencoder of waveforms as a codec, through diffusers."""

from collections.abc import Iterable
from typing import Any, Literal, Self

import torch
from diffusers import AutoencoderOobleck
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from veo_core.data.spec import AudioFactors
from veo_core.errors import UsageError
from veo_core.models.codec import SoundAutoencoder
from veo_core.models.posterior import LatentStatistics
from veo_core.models.pretrained import component, from_folder, loaded, opened_folder, plain_config
from veo_core.records.base import Record

STATISTICS = "latent_statistics.safetensors"
"""Optional file beside the weights: `mean` and `std` of each channel, float32 [c]."""


class OobleckSound(SoundAutoencoder):
    """`AutoencoderOobleck` (stereo at 44.1 or 48 kHz, 64 channels, 21.5 latents a second): frozen.

    Its makers ship no statistics of its latents. They come from the file `latent_statistics.safetensors`
    beside its weights, or `prepare` takes them from sound; they are stored with the codec from then on.
    It is not causal. Mono sound goes to both of its channels, and their mean comes back.
    """

    class Config(Record):
        kind: Literal["oobleck"] = "oobleck"
        autoencoder: dict[str, Any] = Field(description="diffusers' configuration")

    measured: Tensor

    def __init__(self, config: Config, autoencoder: AutoencoderOobleck | None = None) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = autoencoder or loaded(
            lambda: AutoencoderOobleck.from_config(config.autoencoder), where="oobleck codec config"
        )
        self.statistics = LatentStatistics(self.autoencoder.config.decoder_input_channels)
        self.register_buffer("measured", torch.tensor(False))

    @classmethod
    def open(cls, path: str) -> Self:
        """Load from a folder or URI: of the autoencoder, or of a pipeline with a sub-folder `vae`.

        Raises:
            UsageError: it holds no such weights.
        """
        where = f"oobleck codec {path}"
        with opened_folder(path, where=where) as folder:
            autoencoder = from_folder(AutoencoderOobleck, folder, "vae", where=where)
            codec = cls(cls.Config(autoencoder=plain_config(autoencoder.config)), autoencoder)
            file = component(folder, "vae", where=where) / STATISTICS
            if file.is_file():
                stored = loaded(lambda: load_file(file), where=f"{where} {STATISTICS}")
                loaded(lambda: codec.statistics.load_state_dict(stored), where=f"{where} {STATISTICS}")
                codec.measured.fill_(True)
        return codec.eval().requires_grad_(False)

    @property
    def channels(self) -> int:
        return len(self.statistics.mean)

    @property
    def factors(self) -> AudioFactors:
        hop = self.autoencoder.hop_length
        return AudioFactors(rate=self.autoencoder.config.sampling_rate, step=hop, first=hop, padded=True)

    @torch.no_grad()
    def prepare(self, sounds: Iterable[Tensor]) -> None:
        if not self.measured:
            self.statistics.measure(torch.cat([self._raw(sound).cpu() for sound in sounds]))
            self.measured.fill_(True)

    @torch.no_grad()
    def encode(self, sound: Tensor) -> Tensor:
        """As every codec; a `UsageError` where the statistics were never measured."""
        if not self.measured:
            raise UsageError(
                f"oobleck codec: the statistics of its latents are not known: put {STATISTICS} with mean and "
                "std beside its weights, or let the audio_vae stage measure them"
            )
        return self.statistics.normalise(self._raw(sound))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        sound = self.autoencoder.decode(self.statistics.restore(latents)).sample.float().mean(1)
        return F.pad(sound, (0, latents.shape[2] * self.factors.step - sound.shape[1]))

    def _raw(self, sound: Tensor) -> Tensor:
        both = sound[:, None].expand(-1, self.autoencoder.config.audio_channels, -1)
        raw: Tensor = self.autoencoder.encode(both).latent_dist.mode()
        return raw.float()
