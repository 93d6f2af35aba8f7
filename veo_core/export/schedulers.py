"""Which of diffusers' schedulers stands for how a base model is drawn from."""

from typing import Any

from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from veo_core.diffusion.ddpm import scheduler as ddpm_scheduler
from veo_core.errors import UsageError
from veo_core.models.objective import ObjectiveConfig
from veo_core.records.drawing import SamplerConfig

_SOLVERS: dict[type[Any], tuple[str, str]] = {
    FlowMatchEulerDiscreteScheduler: ("euler", "shift"),
    UniPCMultistepScheduler: ("unipc", "flow_shift"),
    DDIMScheduler: ("euler", ""),
    DDPMScheduler: ("ddpm", ""),
}
"""Our solver, and the key of the scheduler's configuration that holds its shift of noise levels."""


def scheduler_of(objective: ObjectiveConfig, sampler: SamplerConfig) -> Any:
    """The scheduler that stands for a sampler's solver and shift, for a model of this objective."""
    if objective.prediction != "velocity":
        known = {"euler": DDIMScheduler, "unipc": UniPCMultistepScheduler, "ddpm": DDPMScheduler}
        return known[sampler.solver].from_config(ddpm_scheduler(objective).config)
    if sampler.solver == "unipc":
        return UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=sampler.shift
        )
    return FlowMatchEulerDiscreteScheduler(shift=sampler.shift)


def sampler_of(
    scheduler: Any,
    usual: SamplerConfig,
    *,
    steps: int | None,
    guidance: float | None,
    audio_guidance: float | None,
) -> SamplerConfig:
    """How a pipeline with this scheduler draws: as `usual`, but for what is given.

    Args:
        guidance: of picture and sound. audio_guidance: of the sound, where it differs.

    Raises:
        UsageError: the scheduler has no counterpart here, or a value is out of its range.
    """
    found = next((named for known, named in _SOLVERS.items() if isinstance(scheduler, known)), None)
    if found is None:
        names = ", ".join(known.__name__ for known in _SOLVERS)
        raise UsageError(f"scheduler {type(scheduler).__name__}: use one of {names}")
    solver, shift = found
    given = {
        "solver": solver,
        "steps": steps,
        "shift": scheduler.config[shift] if shift else None,
        "video_guidance": guidance,
        "audio_guidance": guidance if audio_guidance is None else audio_guidance,
    }
    named = {key: value for key, value in given.items() if value is not None}
    return SamplerConfig.parse(usual.model_dump() | named, where="sampler")
