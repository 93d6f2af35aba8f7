"""LTX-2's autoencoders of picture and of sound as codecs, through diffusers."""

from typing import Any, Literal, Self

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from pydantic import Field
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

from veo_core.data.spec import AudioFactors, VideoFactors
from veo_core.errors import UsageError
from veo_core.models.codec import SoundAutoencoder, VideoCodec
from veo_core.models.posterior import LatentStatistics
from veo_core.models.pretrained import (
    component,
    from_folder,
    loaded,
    opened_folder,
    plain_config,
    read_config,
)
from veo_core.records.base import Record

_FFT = 1024
_FLOOR = 1e-5
_MEL_FRAMES = 4
"""Mel frames to a latent: `LATENT_DOWNSAMPLE_FACTOR` of diffusers' module."""

_VOCODERS = {"LTX2Vocoder": LTX2Vocoder, "LTX2VocoderWithBWE": LTX2VocoderWithBWE}


class LTX2VideoCodec(VideoCodec):
    """`AutoencoderKLLTX2Video` (8x32x32, 128 channels): frozen, its statistics stored with its weights."""

    class Config(Record):
        kind: Literal["ltx2"] = "ltx2"
        autoencoder: dict[str, Any] = Field(description="diffusers' configuration")

    def __init__(self, config: Config, autoencoder: AutoencoderKLLTX2Video | None = None) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = autoencoder or loaded(
            lambda: AutoencoderKLLTX2Video.from_config(config.autoencoder), where="ltx2 video codec config"
        )
        values = self.autoencoder.config
        scaled = [
            kind
            for kind, on in zip(values.downsample_type, values.spatio_temporal_scaling, strict=False)
            if on
        ]
        self._factors = VideoFactors(
            time=values.patch_size_t * 2 ** sum(kind != "spatial" for kind in scaled),
            space=values.patch_size * 2 ** sum(kind != "temporal" for kind in scaled),
        )
        self.statistics = LatentStatistics(values.latent_channels)
        self.statistics.mean.copy_(self.autoencoder.latents_mean)
        self.statistics.std.copy_(self.autoencoder.latents_std / values.scaling_factor)

    @classmethod
    def open(cls, path: str) -> Self:
        """Load from a folder or URI: of the autoencoder, or of a pipeline with a sub-folder `vae`.

        Raises:
            UsageError: it holds no such weights.
        """
        where = f"ltx2 video codec {path}"
        with opened_folder(path, where=where) as folder:
            autoencoder = from_folder(AutoencoderKLLTX2Video, folder, "vae", where=where)
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
        raw = self.statistics.restore(latents)
        clean = raw.new_zeros(len(raw)) if self.autoencoder.config.timestep_conditioning else None
        pictures: Tensor = self.autoencoder.decode(raw, clean).sample
        return pictures.float().clamp(-1.0, 1.0)


class LTX2Sound(SoundAutoencoder):
    """`AutoencoderKLLTX2Audio` with its vocoder: frozen.

    Log-mel of 1 + 4k frames to 1 + k latents: latent 0 is the mel frame at time 0 alone. A latent's channels
    are the autoencoder's times its rows of mel bands (8 x 16), as LTX-2's transformer takes them. Mono sound
    goes to both of its channels, and their mean comes back.
    """

    class Config(Record):
        kind: Literal["ltx2"] = "ltx2"
        autoencoder: dict[str, Any] = Field(description="diffusers' configuration of the autoencoder")
        vocoder: dict[str, Any] = Field(description="diffusers' configuration of the vocoder")
        vocoder_class: Literal["LTX2Vocoder", "LTX2VocoderWithBWE"] = "LTX2Vocoder"

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        config: Config,
        autoencoder: AutoencoderKLLTX2Audio | None = None,
        vocoder: LTX2Vocoder | LTX2VocoderWithBWE | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        where = "ltx2 audio codec config"
        self.autoencoder = autoencoder or loaded(
            lambda: AutoencoderKLLTX2Audio.from_config(config.autoencoder), where=where
        )
        self.vocoder = vocoder or loaded(
            lambda: _VOCODERS[config.vocoder_class].from_config(config.vocoder), where=where
        )
        values = self.autoencoder.config
        self.rows = values.mel_bins // _MEL_FRAMES
        statistics = LatentStatistics(values.latent_channels * self.rows)
        if self.autoencoder.latents_mean.shape != statistics.mean.shape:
            raise UsageError(
                f"{where}: base_channels is {values.base_channels}, but a latent has {len(statistics.mean)} "
                "values"
            )
        statistics.mean.copy_(self.autoencoder.latents_mean)
        statistics.std.copy_(self.autoencoder.latents_std)
        self.statistics = statistics
        filters = mel_filter_bank(
            num_frequency_bins=_FFT // 2 + 1,
            num_mel_filters=values.mel_bins,
            min_frequency=0.0,
            max_frequency=values.sample_rate / 2,
            sampling_rate=values.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("window", torch.hann_window(_FFT), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    @classmethod
    def open(cls, path: str) -> Self:
        """Load from a pipeline's folder or URI, with sub-folders `audio_vae` and `vocoder`.

        Raises:
            UsageError: it holds no such weights.
        """
        where = f"ltx2 audio codec {path}"
        with opened_folder(path, where=where) as folder:
            if not (folder / "vocoder").is_dir():
                raise UsageError(f"{where}: no sub-folder vocoder; name the folder of the whole pipeline")
            autoencoder = from_folder(AutoencoderKLLTX2Audio, folder, "audio_vae", where=where)
            name = read_config(component(folder, "vocoder", where=where), where=where).get("_class_name")
            if name not in _VOCODERS:
                raise UsageError(f"{where}: unknown vocoder {name}; known: {', '.join(_VOCODERS)}")
            vocoder = from_folder(_VOCODERS[name], folder, "vocoder", where=where)
        config = cls.Config(
            autoencoder=plain_config(autoencoder.config),
            vocoder=plain_config(vocoder.config),
            vocoder_class=name,
        )
        return cls(config, autoencoder, vocoder).eval().requires_grad_(False)

    @property
    def channels(self) -> int:
        return len(self.statistics.mean)

    @property
    def factors(self) -> AudioFactors:
        values = self.autoencoder.config
        hop = values.mel_hop_length
        return AudioFactors(rate=values.sample_rate, step=_MEL_FRAMES * hop, first=hop, padded=True)

    @property
    def rate_out(self) -> int:
        rate: int = self.vocoder.config.output_sampling_rate
        return rate

    def log_mel(self, sound: Tensor) -> Tensor:
        """Sound [b, n] to natural logarithms of mel magnitudes [b, 1 + n / hop, mel_bins].

        The settings are those of LTX-2's training, as diffusers' Echo pipeline repeats them
        (modular_pipelines/echo/encoders.py): a Hann window of 1024, frames centred, Slaney's mel scale and
        norm, magnitudes clamped at 1e-5.
        """
        with torch.autocast(sound.device.type, enabled=False):
            spectrum = torch.stft(
                sound.float(),
                _FFT,
                self.autoencoder.config.mel_hop_length,
                window=self.window,
                center=True,
                pad_mode="reflect",
                return_complex=True,
            )
            mel = spectrum.abs().transpose(1, 2) @ self.filters
            return mel.clamp(min=_FLOOR).log()

    @torch.no_grad()
    def encode(self, sound: Tensor) -> Tensor:
        channels = self.autoencoder.config.in_channels
        mel = self.log_mel(sound)[:, None].expand(-1, channels, -1, -1)
        raw = self.autoencoder.encode(mel).latent_dist.mode().float()
        return self.statistics.normalise(raw.transpose(2, 3).flatten(1, 2))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        raw = torch.unflatten(self.statistics.restore(latents), 1, (-1, self.rows)).transpose(2, 3)
        sound: Tensor = self.vocoder(self.autoencoder.decode(raw).sample)
        return sound.float().mean(1)
