"""How clips are drawn from a model."""

from typing import Literal

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.generated import Mode


class SamplerConfig(Record):
    """How clips are drawn from the base model."""

    solver: Literal["euler", "unipc", "ddpm"] = Field(
        default="euler",
        description="euler: first order, which is DDIM for a DDPM model; unipc: second order; "
        "ddpm: steps with fresh noise, for a DDPM model",
    )
    steps: int = Field(default=16, ge=1, description="steps, each of one batch through the model")
    shift: float = Field(default=3.0, gt=0, description="above 1: more steps at high noise")
    audio_shift: float | None = Field(default=None, gt=0, description="the sound's shift, where it differs")
    video_guidance: float = Field(default=2.0, description="guidance scale of the picture, 1 for none")
    audio_guidance: float = Field(default=2.0, description="guidance scale of the sound, 1 for none")
    video_modality: float = Field(default=1.0, description="guidance of the picture by the sound, 1 for none")
    audio_modality: float = Field(default=1.0, description="guidance of the sound by the picture, 1 for none")
    guidance_floor: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="noise level below which there is no guidance, where it distorts more than it tells",
    )
    guidance_every: int = Field(
        default=1,
        ge=1,
        description="steps from one measurement of guidance to the next, which costs as much as the step "
        "itself; between them what it added last is added again",
    )
    rescale: float = Field(
        default=0.0, ge=0, le=1, description="how far guidance keeps the standard deviation of the data"
    )
    clip: float | None = Field(
        default=None,
        gt=0,
        description="bound of the latents that the model expects, in standard deviations; epsilon needs one, "
        "because at high noise its errors grow by the inverse of the signal",
    )


class CascadeSampler(Record):
    """How the upsampler draws."""

    steps: int = Field(default=2, ge=1, description="Euler steps")
    start: float = Field(default=0.5, description="as in training")
    condition: float = Field(default=0.1, description="noise level put on the condition")


SOUND_FOR_VIDEO = SamplerConfig(audio_modality=2.0)
"""How the sound of a given video is drawn: guided by the picture, too, which puts more sounds where it shows
contacts."""


class Drawing(Record):
    """How clips of every kind are drawn from a model: what its evaluation used, unless someone asks for
    something else."""

    sampler: SamplerConfig = SamplerConfig()
    video_to_audio_sampler: SamplerConfig = Field(
        default=SOUND_FOR_VIDEO, description="how the sound of a given video is drawn"
    )
    cascade: CascadeSampler = CascadeSampler()

    def sampler_for(self, mode: Mode) -> SamplerConfig:
        """How the base model is drawn from, given what a clip is made from."""
        return self.video_to_audio_sampler if mode == "v2a" else self.sampler
