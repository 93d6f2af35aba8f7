"""What a denoiser predicts along which path: its weights mean nothing without it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from veo_core.records.base import Record

Prediction = Literal["velocity", "epsilon", "v"]


class ObjectiveConfig(Record):
    """Flow matching (`velocity`), or DDPM with a prediction of the noise or of v."""

    prediction: Prediction = Field(
        default="velocity", description="velocity: flow matching; epsilon, v: DDPM with the settings below"
    )
    betas: Literal["linear", "cosine"] = Field(default="linear", description="how DDPM's noise grows")
    timesteps: int = Field(default=1000, ge=2, le=4000, description="DDPM's noise levels")
    zero_terminal_snr: bool = Field(default=False, description="DDPM's last level is noise alone")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.prediction == "epsilon" and self.zero_terminal_snr:
            raise ValueError(
                "zero_terminal_snr leaves nothing to learn from epsilon at the last level: use prediction v"
            )
        return self
