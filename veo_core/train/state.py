"""What a training run changes: weights, their average, the optimisers' moments."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from veo_core.errors import UsageError
from veo_core.train.parallel import is_sharded, local, sharded_like, slice_like, whole


class TrainingState:
    """The tensors of a run; of sharded ones, this process's slices.

    Attributes:
        weights: the trained parameters of the model by name.
        average: their exponential moving average (EMA), slices like theirs.
        optimisers: what trains them.
    """

    def __init__(self, model: nn.Module, optimisers: list[Optimizer]) -> None:
        self.optimisers = optimisers
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._slices = {name: local(p.detach()) for name, p in self.weights.items()}
        self.average = {name: piece.clone() for name, piece in self._slices.items()}

    @property
    def sharded(self) -> frozenset[str]:
        """Names of the checkpoint's tensors that are slices."""
        names = frozenset(name for name, p in self.weights.items() if is_sharded(p))
        return frozenset(
            key for key, tensor in self.tensors().items() if _weight_of(key) in names and tensor.dim()
        )

    def step(self, learning_rate: float | Tensor, clip: float) -> Tensor:
        """Clip the gradient, update the weights and drop the gradient; returns its norm before the clip."""
        norm = nn.utils.clip_grad_norm_(self.weights.values(), clip)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["scale"] * learning_rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return whole(norm.detach())

    @torch.no_grad()
    def follow(self, share: float | Tensor) -> None:
        """Move the average this share of the way towards the weights."""
        averages, weights = list(self.average.values()), list(self._slices.values())
        shares = [share] * len(averages) if isinstance(share, Tensor) else share
        torch._foreach_lerp_(averages, weights, shares)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with the average in place of its weights."""
        kept = {name: piece.clone() for name, piece in self._slices.items()}
        self.settle()
        try:
            yield
        finally:
            for name, piece in self._slices.items():
                piece.copy_(kept[name])

    def settle(self) -> None:
        """Leave the average in the model for good."""
        for name, piece in self._slices.items():
            piece.copy_(self.average[name])

    def finite(self) -> Tensor:
        """Whether all weights are numbers, as a scalar of 1 or NaN."""
        norms = torch.stack(torch._foreach_norm(list(self._slices.values())))
        return 1.0 + 0.0 * norms.sum()

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name: `weights/NAME`, `average/NAME`, `optimiser/NAME/KEY`."""
        tensors = {f"weights/{name}": piece for name, piece in self._slices.items()}
        tensors |= {f"average/{name}": piece for name, piece in self.average.items()}
        for name, p in self.weights.items():
            for key, value in self._moments(p).items():
                tensors[f"optimiser/{name}/{key}"] = local(value)
        return tensors

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave, or the whole tensors of which it gave slices.

        Raises:
            UsageError: it belongs to another model or another optimiser.
        """
        for name, p in self.weights.items():
            for kind, target in (("weights", self._slices[name]), ("average", self.average[name])):
                found = tensors.get(f"{kind}/{name}")
                found = None if found is None else slice_like(found, p)
                if found is None or found.shape != target.shape:
                    shape = "absent" if found is None else f"of shape {tuple(found.shape)}"
                    raise UsageError(
                        f"checkpoint: it belongs to another model: {name} is {shape}, "
                        f"expected {tuple(target.shape)}"
                    )
                target.copy_(found)
        for optimiser in self.optimisers:
            self._restore_moments(optimiser, tensors)

    def _restore_moments(self, optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
        names = {id(p): name for name, p in self.weights.items()}
        described = optimiser.state_dict()
        ordered = [p for group in optimiser.param_groups for p in group["params"]]
        for index, p in enumerate(ordered):
            prefix = f"optimiser/{names[id(p)]}/"
            moments = {
                key.removeprefix(prefix): sharded_like(slice_like(value, p).to(p.device), p)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
            described["state"][index] = moments
        optimiser.load_state_dict(described)

    def _moments(self, p: nn.Parameter) -> dict[str, Tensor]:
        for optimiser in self.optimisers:
            if p in optimiser.state:
                return dict(optimiser.state[p])
        return {}


def _weight_of(key: str) -> str:
    kind, _, rest = key.partition("/")
    return rest.rpartition("/")[0] if kind == "optimiser" else rest
