"""From the configuration of an objective to the objective."""

import torch

from veo_core.diffusion.ddpm import DDPM
from veo_core.diffusion.flow import FlowMatching
from veo_core.diffusion.objective import Objective
from veo_core.models.objective import ObjectiveConfig


def build_objective(config: ObjectiveConfig, device: torch.device | None = None) -> Objective:
    """Flow matching or DDPM, as `config` says, for training on `device`."""
    return FlowMatching() if config.prediction == "velocity" else DDPM(config, device)
