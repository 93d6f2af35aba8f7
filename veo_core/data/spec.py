"""The one place that derives every length of a clip: frames, latents, sound samples, and their seconds.

What a clip is goes in with how the two codecs divide it; counts and times come out, or a message that says
what does not fit.
"""

from typing import Self

from pydantic import Field, model_validator

from veo_core.errors import UsageError
from veo_core.records.base import Record

MEL_FRAMES = 4
"""Mel frames to a latent of our own autoencoder of sound."""


class VideoFactors(Record):
    """How a video codec divides a clip: the first frame alone, then `time` frames to a latent frame."""

    time: int = Field(default=4, ge=1, description="frames to a latent frame, after the first one")
    space: int = Field(default=4, ge=1, description="pixels to a latent along each side")

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latent frames, rows and columns of so many pictures of that size.

        Raises:
            UsageError: they do not fit.
        """
        if frames % self.time != 1 % self.time:
            raise UsageError(f"{frames} frames do not fit the video codec: give it 1 + {self.time}k of them")
        if height % self.space or width % self.space:
            raise UsageError(
                f"pictures of {height}x{width} do not fit the video codec: its latents take "
                f"{self.space}x{self.space} pixels each, so give it multiples of {self.space}"
            )
        return 1 + (frames - 1) // self.time, height // self.space, width // self.space


class AudioFactors(Record):
    """How an audio codec divides sound.

    With `first` equal to `step` the latents divide the clip evenly. With a smaller one the codec is causal
    like a video codec: latent 0 stands for the `first` samples around time 0 alone, and each later one for
    the `step` samples up to the instant that it closes (LTX-2: `first` is one mel frame, `step` four).
    """

    rate: int = Field(gt=0, description="sound samples per second that the codec works at")
    step: int = Field(gt=0, description="such samples to a latent")
    first: int = Field(gt=0, description="such samples to the first latent")
    padded: bool = Field(default=False, description="the end of a clip is padded to a whole latent")

    def latents(self, samples: int, rate: int) -> int:
        """Latents of so many samples at `rate`.

        Raises:
            UsageError: they are no whole number of latents, and the codec does not pad.
        """
        whole, rest = divmod(samples * self.rate, self.step * rate)
        if rest and not self.padded:
            raise UsageError(
                f"{samples} sound samples at {rate}/s do not fit the audio codec: they are no multiple of a "
                f"latent's {self.step * rate / self.rate:g}; change frames, fps, audio_rate or hop"
            )
        return whole + bool(rest) + (self.first < self.step)

    def seconds(self, count: int) -> list[float]:
        """Middle of the time that each of `count` latents stands for."""
        if self.first == self.step:
            return [(k + 0.5) * self.step / self.rate for k in range(count)]
        ahead = (self.step - self.first) / 2
        return [max(k * self.step - ahead, 0.0) / self.rate for k in range(count)]


class ClipSpec(Record):
    """Size, rate and length of the clips that a model trains on.

    The first frame stands alone in time, so there are `1 + k * video.time` frames; sound covers the time
    between the first frame and the last one.
    """

    frames: int = Field(default=17, ge=1, description="pictures in a clip, 1 + 4k")
    fps: float = Field(default=8.0, gt=0, description="pictures per second")
    height: int = Field(default=64, description="height of the upsampled picture in pixels")
    width: int = Field(default=64, description="width of the upsampled picture in pixels")
    upscale: int = Field(default=2, ge=1, description="how many times smaller the base picture is")
    audio_rate: int = Field(default=16_000, gt=0, description="sound samples per second, mono")
    hop: int = Field(default=160, gt=0, description="sound samples to a mel frame")
    window: int = Field(default=640, description="sound samples in the analysis window, a multiple of hop")
    mel_bins: int = Field(default=64, description="mel bands")
    video: VideoFactors = Field(default=VideoFactors(), description="set from the video codec")
    audio: AudioFactors | None = Field(
        default=None, description="set from the audio codec; without it four mel frames make a latent"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.frames % self.video.time != 1 % self.video.time:
            raise ValueError(f"frames must be 1 + {self.video.time}k, not {self.frames}")
        if self.height % self.upscale or self.width % self.upscale:
            raise ValueError(f"{self.height}x{self.width} is not a multiple of upscale {self.upscale}")
        if self.window % self.hop:
            raise ValueError(f"window {self.window} is not a multiple of hop {self.hop}")
        exact = self.seconds * self.audio_rate
        if abs(exact - round(exact)) > 1e-6:
            raise ValueError(f"{self.seconds:g} s at {self.audio_rate}/s are {exact:g} sound samples")
        return self

    def divided(self, video: VideoFactors, audio: AudioFactors) -> "ClipSpec":
        """This clip under the codecs that divide it so.

        Raises:
            UsageError: it does not fit them.
        """
        video.latent_shape(self.frames, self.height, self.width)
        video.latent_shape(self.frames, self.base_height, self.base_width)
        audio.latents(self.samples, self.audio_rate)
        return self.model_copy(update={"video": video, "audio": audio})

    @property
    def seconds(self) -> float:
        """Time between the first frame and the last one, which the sound covers."""
        return (self.frames - 1) / self.fps

    @property
    def samples(self) -> int:
        """Sound samples in a clip."""
        return round(self.seconds * self.audio_rate)

    @property
    def mel_frames(self) -> int:
        return self.samples // self.hop

    @property
    def audio_factors(self) -> AudioFactors:
        """How the audio codec divides the clip."""
        step = MEL_FRAMES * self.hop
        return self.audio or AudioFactors(rate=self.audio_rate, step=step, first=step)

    @property
    def latent_frames(self) -> int:
        """Latent frames of the picture: the first frame's own, then one for every `video.time` frames."""
        return 1 + (self.frames - 1) // self.video.time

    @property
    def audio_latents(self) -> int:
        """Latents of the sound.

        Raises:
            UsageError: the sound is no whole number of latents.
        """
        return self.audio_factors.latents(self.samples, self.audio_rate)

    @property
    def base_height(self) -> int:
        return self.height // self.upscale

    @property
    def base_width(self) -> int:
        return self.width // self.upscale

    def latent_seconds(self) -> list[float]:
        """Middle of the time that each latent frame stands for."""
        time = self.video.time
        later = [(time * k - (time - 1) / 2) / self.fps for k in range(1, self.latent_frames)]
        return [0.0, *later]

    def audio_latent_seconds(self) -> list[float]:
        """Middle of the time that each sound latent stands for."""
        return self.audio_factors.seconds(self.audio_latents)
