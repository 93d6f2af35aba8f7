"""Muon with all matrices of one shape orthogonalised at once."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from veo_core.train.runtime import multiplies_bfloat16


class StackedMuon(torch.optim.Muon):
    """`torch.optim.Muon` for weights that are whole in this process: the same updates, sooner.

    A small model has many small matrices, and PyTorch's Newton-Schulz iteration takes them one by one. Here
    those of one shape, or of one shape transposed, are a stack, so that a product is one call for all. The
    iteration is in bfloat16, as PyTorch's is, or in float32 where the device has no bfloat16.
    Under XLA it stays on the device: PyTorch's calls `addmm` with factors, which torch-xla hands back to the
    host, and so compiles and runs the whole step for each product.
    Momentum is kept under the same names: checkpoints fit either. Rates are scaled to AdamW's root mean
    square (`adjust_lr_fn="match_rms_adamw"`).
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all weights.

        Raises:
            ValueError: there is a closure, or rates that are scaled otherwise.
        """
        if closure is not None:
            raise ValueError("StackedMuon takes no closure")
        for group in self.param_groups:
            if group["adjust_lr_fn"] != "match_rms_adamw":
                raise ValueError('StackedMuon knows adjust_lr_fn="match_rms_adamw" alone')
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            directions = self._directions(weights, group["momentum"], nesterov=group["nesterov"])
            stacks: dict[tuple[int, int], list[int]] = defaultdict(list)
            for index, p in enumerate(weights):
                stacks[min(p.shape), max(p.shape)].append(index)
            for indices in stacks.values():
                stack = torch.stack([_wide(directions[index]) for index in indices])
                if multiplies_bfloat16(stack.device.type):
                    stack = stack.bfloat16()
                updates = orthogonalised(stack, group["ns_coefficients"], group["ns_steps"], group["eps"])
                for index, update in zip(indices, updates, strict=True):
                    p = weights[index]
                    rate = group["lr"] * 0.2 * max(p.shape) ** 0.5
                    p.mul_(1.0 - group["lr"] * group["weight_decay"])
                    p.sub_(rate * (update if p.shape[0] <= p.shape[1] else update.mT).to(p.dtype))

    def _directions(self, weights: list[Tensor], momentum: float, *, nesterov: bool) -> list[Tensor]:
        gradients = [p.grad for p in weights if p.grad is not None]
        for p in weights:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in weights]
        torch._foreach_lerp_(buffers, gradients, 1.0 - momentum)
        return list(torch._foreach_lerp(gradients, buffers, momentum)) if nesterov else buffers


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT


def orthogonalised(
    stack: Tensor, coefficients: tuple[float, float, float], steps: int, epsilon: float
) -> Tensor:
    """Matrices [n, a, b], a at most b, with their singular values near 1: quintic Newton-Schulz iteration
    (Jordan, "Muon: an optimizer for hidden layers", 2024).

    The polynomials of wide matrices are multiplied as [a, a] and meet the matrix at the end alone: the same
    result for fewer products ("Gram Newton-Schulz", dao-lab.ai, 2026). In bfloat16 that is not stable.
    """
    linear, cubic, quintic = coefficients
    x: Tensor = stack / torch.linalg.matrix_norm(stack).clamp(min=epsilon)[:, None, None]
    if x.dtype == torch.float32 and x.shape[2] >= 2 * x.shape[1]:
        return _polynomials(x @ x.mT, coefficients, steps) @ x
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x


def _polynomials(gram: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """What the iteration multiplies matrices of these Gram matrices [n, a, a] with."""
    linear, cubic, quintic = coefficients

    def polynomial(gram: Tensor) -> Tensor:
        factor = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        factor.diagonal(dim1=1, dim2=2).add_(linear)
        return factor

    factor = product = polynomial(gram)
    for _ in range(steps - 1):
        gram = factor @ gram @ factor
        factor = polynomial(gram)
        product = factor @ product
    return product
