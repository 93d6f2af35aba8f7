"""Which of diffusers' schedulers stands for how a base model is drawn from."""

from typing import Any

from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from veo_core.diffusion.ddpm import scheduler as ddpm_scheduler
from veo_core.diffusion.sampler import SamplerConfig
from veo_core.errors import UsageError
from veo_core.models.objective import ObjectiveConfig

_SOLVERS: dict[type[Any], tuple[str, str]] = {
    FlowMatchEulerDiscreteScheduler: ("euler", "shift"),
    UniPCMultistepScheduler: ("unipc", "flow_shift"),
    DDIMScheduler: ("euler", ""),
    DDPMScheduler: ("ddpm", ""),
}
"""Our solver, and the key of the scheduler's configuration that holds its shift of noise levels."""


def scheduler_of(objective: ObjectiveConfig) -> Any:
    """The scheduler that draws from a model of this objective as our default sampler does."""
    if objective.prediction == "velocity":
        return FlowMatchEulerDiscreteScheduler(shift=SamplerConfig().shift)
    return DDIMScheduler.from_config(ddpm_scheduler(objective).config)


def sampler_of(scheduler: Any, *, steps: int, guidance: float, audio_guidance: float | None) -> SamplerConfig:
    """How a pipeline with this scheduler draws.

    Raises:
        UsageError: the scheduler has no counterpart here, or a value is out of its range.
    """
    found = next((named for known, named in _SOLVERS.items() if isinstance(scheduler, known)), None)
    if found is None:
        names = ", ".join(known.__name__ for known in _SOLVERS)
        raise UsageError(f"scheduler {type(scheduler).__name__}: use one of {names}")
    solver, shift = found
    chosen = {
        "solver": solver,
        "steps": steps,
        "video_guidance": guidance,
        "audio_guidance": guidance if audio_guidance is None else audio_guidance,
    }
    if shift:
        chosen["shift"] = scheduler.config[shift]
    return SamplerConfig.parse(chosen, where="sampler")
