"""The training loop.

Everything random in a step comes from one generator, seeded by the run's seed and the step's number. So
a resumed run needs no state of generators or loaders: it repeats the very steps of an uninterrupted one.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.progress import track
from veo_core.records.base import Record
from veo_core.stage import Context
from veo_core.train.checkpoint import Checkpoints
from veo_core.train.runtime import Runtime, RuntimeConfig

Losses = Callable[[torch.Generator], dict[str, Tensor]]
History = list[dict[str, float]]


class FitConfig(Record):
    """What every training stage can be told about its optimisation."""

    steps: int = Field(default=1000, ge=1, description="optimiser steps")
    batch: int = Field(default=32, ge=1, description="clips in a step")
    learning_rate: float = Field(default=1e-3, gt=0, description="highest learning rate")
    warmup: int = Field(default=50, ge=0, description="steps of linear warm-up; then a cosine falls to zero")
    weight_decay: float = Field(default=0.01, ge=0, description="decay of matrices")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(default=0.995, ge=0, lt=1, description="decay of the average of weights; 0 for none")
    log_every: int = Field(default=20, ge=1, description="steps between rows of the history")
    checkpoint_seconds: float = Field(default=30.0, ge=0, description="least time between checkpoints")
    runtime: RuntimeConfig = RuntimeConfig()


def fit(
    model: nn.Module, losses: Losses, *, config: FitConfig, runtime: Runtime, context: Context
) -> History:
    """Train `model` and leave the average of its weights in it.

    Args:
        losses: draws a batch with the generator given to it and returns scalars, `loss` among them.

    Returns:
        A row for every `log_every` steps: the step, means of the scalars since the last row, the
        gradient's norm and the learning rate.

    Raises:
        UsageError: the loss is not finite. The last checkpoint, from before, is kept.
        SystemExit: code 143 after SIGTERM, once the state is saved.
    """
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    average = {name: p.detach().clone() for name, p in weights.items()}
    optimiser = _optimiser(list(weights.values()), config, runtime)
    checkpoints = Checkpoints(context)
    sums: dict[str, Tensor] = {}
    history: History = []
    step = 0

    restored = checkpoints.load()
    if restored is not None:
        tensors, note = restored
        step, history = int(note["step"]), note["history"]
        sums = _restore(tensors, weights, average, optimiser, step)

    def save() -> None:
        tensors = _state(weights, average, optimiser, sums)
        checkpoints.save(tensors, {"step": step, "history": history})

    saved = time.monotonic()
    generator = torch.Generator()
    model.train()
    with _termination() as terminated:
        for _ in track(
            range(step, config.steps), total=config.steps - step, label=context.stage, unit="steps"
        ):
            generator.manual_seed(context.seed * 1_000_003 + step)
            rate = learning_rate(step, config)
            for group in optimiser.param_groups:
                group["lr"] = rate
            with runtime.autocast():
                scalars = losses(generator)
            scalars["loss"].backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(weights.values(), config.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            _follow(average, weights, min(config.ema, (1 + step) / (10 + step)))
            for name, value in {**scalars, "gradient": norm}.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
            runtime.step_done()
            step += 1

            if step % config.log_every == 0 or step == config.steps or terminated.is_set():
                means = _means(sums, step, config, runtime)
                if step % config.log_every == 0 or step == config.steps:
                    history.append({"step": step, **means, "learning_rate": rate})
                    sums = {}
                if terminated.is_set():
                    save()
                    raise SystemExit(143)
                if time.monotonic() - saved >= config.checkpoint_seconds:
                    save()
                    saved = time.monotonic()
    save()
    with torch.no_grad():
        for name, p in weights.items():
            p.copy_(average[name])
    model.eval()
    return history


def learning_rate(step: int, config: FitConfig) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def _optimiser(weights: list[nn.Parameter], config: FitConfig, runtime: Runtime) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in weights if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in weights if p.dim() <= 1], "weight_decay": 0.0},
    ]
    fused = runtime.accelerator in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=fused)


@torch.no_grad()
def _follow(average: dict[str, Tensor], weights: dict[str, nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(list(average.values()), list(weights.values()), 1.0 - decay)


def _means(sums: dict[str, Tensor], step: int, config: FitConfig, runtime: Runtime) -> dict[str, float]:
    count = (step - 1) % config.log_every + 1
    means = {name: value / count for name, value in runtime.fetch(sums).items()}
    if not all(math.isfinite(value) for value in means.values()):
        raise UsageError(
            f"training: the loss is not finite in steps {step - count + 1} to {step}; lower learning_rate or "
            f"look at these batches. The last checkpoint is kept"
        )
    return means


def _state(
    weights: dict[str, nn.Parameter],
    average: dict[str, Tensor],
    optimiser: torch.optim.AdamW,
    sums: dict[str, Tensor],
) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {f"sums/{name}": value for name, value in sums.items()}
    for name, p in weights.items():
        moments = optimiser.state[p]
        state[f"weights/{name}"] = p
        state[f"average/{name}"] = average[name]
        state[f"first/{name}"] = moments["exp_avg"]
        state[f"second/{name}"] = moments["exp_avg_sq"]
    return state


@torch.no_grad()
def _restore(
    state: dict[str, Tensor],
    weights: dict[str, nn.Parameter],
    average: dict[str, Tensor],
    optimiser: torch.optim.AdamW,
    step: int,
) -> dict[str, Tensor]:
    """Put a checkpoint back in place; returns the running sums of the scalars."""
    for name, p in weights.items():
        p.copy_(state[f"weights/{name}"])
        average[name].copy_(state[f"average/{name}"])
        optimiser.state[p] = {
            "step": torch.tensor(float(step)),
            "exp_avg": state[f"first/{name}"].to(p.device).view_as(p),
            "exp_avg_sq": state[f"second/{name}"].to(p.device).view_as(p),
        }
    device = next(iter(weights.values())).device
    sums = {name: value for name, value in state.items() if name.startswith("sums/")}
    return {name.removeprefix("sums/"): value.to(device) for name, value in sums.items()}


@contextlib.contextmanager
def _termination() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, so that a step in flight can end and be saved."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)
