"""A small training run whose end is known in advance; a test trains with it, or starts it as a program:

    python small_run.py ROOT CONFIG [--at STEP WHAT]

WHAT happens in the draw of that number: `kill` and `terminate` send the signals, `nan` spoils the loss.
"""

import argparse
import json
import math
import os
import signal

import torch
from torch import Tensor, nn

from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train.loop import FitConfig, fit
from veo_core.train.parallel import whole_state
from veo_core.train.runtime import Runtime

CPU = {"accelerator": "cpu", "bfloat16": False}
CONFIG = FitConfig(steps=23, batch=8, log_every=5, warmup=3, checkpoint_seconds=0.0, runtime=CPU)


class Residual(nn.Module):
    """Blocks of odd width, so that two processes cannot cut it in equal halves."""

    def __init__(self, depth: int = 3, width: int = 15) -> None:
        super().__init__()
        self.enter = nn.Linear(4, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.leave = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        y: Tensor = self.leave(x)
        return y


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.rise, self.fall = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.fall(nn.functional.gelu(self.rise(x)))
        return y


class SmallRun:
    """Learns the sum of four numbers.

    Attributes:
        model: what is trained. calls: draws so far.
        at: what happens in the draw of a number.
    """

    def __init__(self, config: FitConfig = CONFIG, model: nn.Module | None = None) -> None:
        self.config, self.runtime = config, Runtime(config.runtime)
        torch.manual_seed(0)
        self.model = self.runtime.place(model or Residual())
        self.calls = 0
        self.at: dict[int, str | BaseException] = {}
        self.drawn: list[str] = []

    def losses(self, generator: torch.Generator) -> dict[str, Tensor]:
        self.calls += 1
        number = torch.randint(1000, (self.config.batch,), generator=generator)
        self.drawn = [f"clip-{n}" for n in number.tolist()]
        x = torch.randn(self.config.batch, 4, generator=generator)
        y = x.sum(1, keepdim=True)
        loss = (self.model(self.runtime.shard(x)) - self.runtime.shard(y)).square().mean()
        match self.at.get(self.calls):
            case BaseException() as error:
                raise error
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "terminate":
                os.kill(os.getpid(), signal.SIGTERM)
            case "nan":
                loss = loss * math.nan
        return {"loss": loss}

    def fit(self, store: Store, key: str = "k", **more: object) -> list[dict[str, float]]:
        return fit(
            self.model,
            self.losses,
            config=self.config,
            runtime=self.runtime,
            context=context(store, key),
            batch_names=lambda: self.drawn,
            **more,  # type: ignore[arg-type]
        )

    def weights(self) -> dict[str, Tensor]:
        return whole_state(self.model)


def context(store: Store, key: str = "k") -> Context:
    return Context(stage="small", store=store, seed=3, key=key, workers=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("config")
    parser.add_argument("--at", nargs=2)
    arguments = parser.parse_args()
    run = SmallRun(FitConfig.model_validate(json.loads(arguments.config)))
    if arguments.at:
        run.at[int(arguments.at[0])] = arguments.at[1]
    run.fit(Store(arguments.root))


if __name__ == "__main__":
    main()
