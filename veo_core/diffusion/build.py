"""From the configuration of an objective to the objective."""

from veo_core.diffusion.ddpm import DDPM
from veo_core.diffusion.flow import FlowMatching
from veo_core.diffusion.objective import Objective
from veo_core.models.objective import ObjectiveConfig


def build_objective(config: ObjectiveConfig) -> Objective:
    """Flow matching or DDPM, as `config` says."""
    return FlowMatching() if config.prediction == "velocity" else DDPM(config)
