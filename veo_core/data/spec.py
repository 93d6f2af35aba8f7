"""The one place that derives every length of a training clip."""

from typing import Self

from pydantic import Field, model_validator

from veo_core.records.base import Record

TIME_FACTOR = 4
"""Frames to a latent frame, mel frames to a sound latent: both autoencoders share it."""


class ClipSpec(Record):
    """Size, rate and length of the clips that a model trains on.

    The first frame stands alone in time, so there are `1 + 4k` frames; sound covers the time between
    the first frame and the last one.
    """

    frames: int = Field(default=17, description="pictures in a clip, 1 + 4k")
    fps: float = Field(default=8.0, description="pictures per second")
    height: int = Field(default=64, description="height of the upsampled picture in pixels")
    width: int = Field(default=64, description="width of the upsampled picture in pixels")
    upscale: int = Field(default=2, description="how many times smaller the base picture is")
    audio_rate: int = Field(default=16_000, description="sound samples per second, mono")
    hop: int = Field(default=160, description="sound samples to a mel frame")
    window: int = Field(default=640, description="sound samples in the analysis window, a multiple of hop")
    mel_bins: int = Field(default=64, description="mel bands")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.frames % TIME_FACTOR != 1:
            raise ValueError(f"frames must be 1 + {TIME_FACTOR}k, not {self.frames}")
        if self.height % self.upscale or self.width % self.upscale:
            raise ValueError(f"{self.height}x{self.width} is not a multiple of upscale {self.upscale}")
        if self.window % self.hop:
            raise ValueError(f"window {self.window} is not a multiple of hop {self.hop}")
        exact = (self.frames - 1) / self.fps * self.audio_rate
        if exact != int(exact) or int(exact) % (self.hop * TIME_FACTOR):
            raise ValueError(f"{exact} sound samples are no multiple of {self.hop * TIME_FACTOR}")
        return self

    @property
    def seconds(self) -> float:
        """Time between the first frame and the last one, which the sound covers."""
        return (self.frames - 1) / self.fps

    @property
    def samples(self) -> int:
        """Sound samples in a clip."""
        return int(self.seconds * self.audio_rate)

    @property
    def mel_frames(self) -> int:
        return self.samples // self.hop

    @property
    def latent_frames(self) -> int:
        """Latent frames of the picture: the first frame's own, then one for every four frames."""
        return 1 + (self.frames - 1) // TIME_FACTOR

    @property
    def audio_latents(self) -> int:
        return self.mel_frames // TIME_FACTOR

    @property
    def base_height(self) -> int:
        return self.height // self.upscale

    @property
    def base_width(self) -> int:
        return self.width // self.upscale

    def latent_seconds(self) -> list[float]:
        """Middle of the time that each latent frame stands for."""
        later = [(TIME_FACTOR * k - (TIME_FACTOR - 1) / 2) / self.fps for k in range(1, self.latent_frames)]
        return [0.0, *later]

    def audio_latent_seconds(self) -> list[float]:
        """Middle of the time that each sound latent stands for."""
        step = TIME_FACTOR * self.hop / self.audio_rate
        return [(k + 0.5) * step for k in range(self.audio_latents)]
