"""Optimisers: AdamW for every weight, or Muon for the matrices inside blocks."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.optim import Optimizer

from veo_core.errors import UsageError
from veo_core.train.muon import StackedMuon
from veo_core.train.parallel import blocks_of
from veo_core.train.runtime import Runtime

OptimiserName = Literal["adamw", "muon"]


def build_optimisers(
    model: nn.Module,
    name: OptimiserName,
    *,
    learning_rate: float,
    weight_decay: float,
    runtime: Runtime,
    muon_scale: float = 1.0,
) -> list[Optimizer]:
    """The optimisers that together train all weights of `model`.

    AdamW (Loshchilov and Hutter, 1711.05101) decays matrices and convolutions, and neither gains nor biases.
    Under `muon`, the 2-D weights inside `model.blocks` go to Muon (Jordan, "Muon: an optimizer for hidden
    layers", 2024): what enters and leaves the blocks, embeddings, modulations (which read the noise level
    alone: Muon costs a third more with them and gains nothing), and vectors stay with AdamW. Muon's updates
    are scaled to the root mean square of AdamW's (Liu et al., 2502.16982), so that one learning rate and one
    weight decay can serve both; its own is `muon_scale` times as high. Each group's `scale` says how many
    times the scheduled rate it takes. Where weights are whole, matrices of a shape are updated together.

    Raises:
        UsageError: Muon is asked for and the model lists no blocks with matrices.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    optimisers: list[Optimizer] = []
    if name == "muon":
        named = [pair for block in blocks_of(model) for pair in block.named_parameters()]
        matrices = [p for name, p in named if p.dim() == 2 and p.requires_grad and "modulate" not in name]
        if not matrices:
            raise UsageError(f"optimiser: {type(model).__name__} has no blocks with matrices; use adamw")
        muon = StackedMuon if runtime.world == 1 else torch.optim.Muon  # slices cannot be stacked
        optimisers.append(
            muon(
                [{"params": matrices, "scale": muon_scale}],
                lr=muon_scale * learning_rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
        taken = {id(p) for p in matrices}
        weights = [p for p in weights if id(p) not in taken]
    groups = [
        {"params": [p for p in weights if p.dim() > 1], "weight_decay": weight_decay, "scale": 1.0},
        {"params": [p for p in weights if p.dim() <= 1], "weight_decay": 0.0, "scale": 1.0},
    ]
    fused = runtime.accelerator in ("cpu", "cuda")
    counted = runtime.accelerator == "xla"  # steps, on the device: see Runtime.varying
    optimisers.append(
        torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99), fused=fused, capturable=counted)
    )
    return optimisers


def lay_moments(optimisers: Sequence[Optimizer], runtime: Runtime) -> None:
    """Under XLA, lay the moments of optimisers over its devices like the weights, before the first step.

    Left to the first step, new ones would be made inside that step's program, whole on each device. The
    second step, which has them as inputs, would be another program: compiled anew, in minutes.
    """
    if runtime.accelerator != "xla":
        return
    for optimiser in optimisers:
        if not optimiser.state:
            _make_moments(optimiser)
        for moments in optimiser.state.values():
            runtime.spread(moments.values())
    runtime.step_done()


def _make_moments(optimiser: Optimizer) -> None:
    """Take a step without gradient and decay, which changes no weight, and forget that it was taken."""
    decays = [group["weight_decay"] for group in optimiser.param_groups]
    for group in optimiser.param_groups:
        group["weight_decay"] = 0.0
        for p in group["params"]:
            p.grad = torch.zeros_like(p)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    for group, decay in zip(optimiser.param_groups, decays, strict=True):
        group["weight_decay"] = decay
    for moments in optimiser.state.values():
        for moment in moments.values():
            moment.zero_()
