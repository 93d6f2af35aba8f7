"""Means of a run's scalars, kept on the device, and which step first had none."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from veo_core.train.runtime import Runtime


class Tally:
    """Sums of scalars since the last row of the history. Adding to it does not wait for the device."""

    def __init__(self, runtime: Runtime, state: dict[str, Any] | None = None) -> None:
        self._runtime = runtime
        state = state or {"sums": {}, "count": 0}
        self._count = int(state["count"])
        self._sums = {
            name: torch.tensor(value, device=runtime.device) for name, value in state["sums"].items()
        }
        self._steps: list[tuple[Tensor, Sequence[str]]] = []

    def add(self, scalars: dict[str, Tensor], batch: Sequence[str]) -> None:
        """Count a step's scalars; `batch` names its clips."""
        for name, value in scalars.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().float()
        self._count += 1
        self._steps.append((torch.stack([value.detach().float() for value in scalars.values()]).sum(), batch))

    def means(self) -> dict[str, float]:
        """The mean of each scalar, over steps and processes; waits for the device."""
        return {name: value / self._count for name, value in self._runtime.fetch(self._sums).items()}

    def first_bad(self) -> tuple[int, Sequence[str]]:
        """How many steps ago, from 1, a scalar was first not finite, and the clips of that step's batch."""
        values = self._runtime.fetch({str(number): value for number, (value, _) in enumerate(self._steps)})
        number = next(number for number, value in enumerate(values.values()) if not math.isfinite(value))
        return len(self._steps) - number, self._steps[number][1]

    def clear(self) -> None:
        self._sums, self._count, self._steps = {}, 0, []

    def state(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        return {"sums": self._runtime.fetch(self._sums) if self._sums else {}, "count": self._count}
