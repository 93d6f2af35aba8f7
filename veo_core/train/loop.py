"""The training loop.

Everything random in a step comes from one generator, seeded by the run's seed and the step's number. So
a resumed run needs no state of generators or loaders: it repeats the very steps of an uninterrupted one.
"""

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.exit_codes import RETRY
from veo_core.progress import track
from veo_core.records.base import Record, canonical_json
from veo_core.stage import Context
from veo_core.train.checkpoint import Checkpoints, refuse_other_config
from veo_core.train.events import Samples
from veo_core.train.journal import Journal
from veo_core.train.optimiser import OptimiserName, build_optimisers, lay_moments
from veo_core.train.parallel import gather, parallelize, reshard, sync_gradients
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.train.state import TrainingState
from veo_core.train.tally import Tally
from veo_core.train.throughput import Meter

Losses = Callable[[torch.Generator], dict[str, Tensor]]
History = list[dict[str, float]]


class FitConfig(Record):
    """What every training stage can be told about its optimisation."""

    steps: int = Field(default=1000, ge=1, description="optimiser steps")
    batch: int = Field(default=32, ge=1, description="clips drawn at once, over all processes")
    accumulate: int = Field(default=1, ge=1, description="draws whose gradients are averaged to one step")
    optimiser: OptimiserName = Field(
        default="adamw", description="adamw, or muon for matrices inside blocks and adamw for the rest"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="highest learning rate")
    muon_scale: float = Field(
        default=1.0, gt=0, description="learning rate of Muon's matrices, in multiples of `learning_rate`"
    )
    warmup: int = Field(default=50, ge=0, description="steps of linear warm-up; then a cosine falls to zero")
    weight_decay: float = Field(default=0.01, ge=0, description="decay of matrices")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(default=0.995, ge=0, lt=1, description="decay of the average of weights; 0 for none")
    log_every: int = Field(default=20, ge=1, description="steps between rows of the history")
    samples_every: int = Field(
        default=0,
        ge=0,
        description="steps between samples for TensorBoard, where the stage has any; 0 for none",
    )
    checkpoint_seconds: float = Field(default=30.0, ge=0, description="least time between checkpoints")
    runtime: RuntimeConfig = RuntimeConfig()


def fit(
    model: nn.Module,
    losses: Losses,
    *,
    config: FitConfig,
    runtime: Runtime,
    context: Context,
    batch_names: Callable[[], Sequence[str]] | None = None,
    waited: Callable[[], float] | None = None,
    flops_per_clip: float | None = None,
    samples: Callable[[], tuple[object, object, int]] | None = None,
) -> History:
    """Train `model`, which is on its device, and leave the average of its weights in it.

    Args:
        losses: draws a batch with the generator given to it and returns scalars, `loss` among them. In a run
            of several processes it draws the global batch, takes its share with `runtime.shard`, and returns
            the mean over the share: the mean of these is the mean over the batch.
        batch_names: the clips of the batch that was drawn last, for the error of a loss that is not finite.
        waited: seconds spent waiting for batches so far.
        flops_per_clip: floating-point operations to train on one clip, forward and backward.
        samples: draws films with the model: `Samples` or a tuple of the same three.

    Returns:
        A row for every `log_every` steps: the step, means of the scalars since the last row, the
        gradient's norm and the learning rate.

    Raises:
        UsageError: the loss is not finite, a checkpoint belongs to another run, or there is no room for one.
            The last checkpoint is kept.
        SystemExit: code 143 after SIGTERM, once the state is saved.
    """
    parallelize(model, runtime)
    optimisers = build_optimisers(
        model,
        config.optimiser,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        runtime=runtime,
        muon_scale=config.muon_scale,
    )
    state = TrainingState(model, optimisers)
    checkpoints = Checkpoints(context, runtime)
    step, history, tally, learned = 0, History(), Tally(runtime), None
    restored = checkpoints.load()
    if restored is not None:
        tensors, checkpoint = restored
        step, note = checkpoint.step, checkpoint.note
        refuse_other_config(note["config"], config, context)
        state.restore(tensors)
        history, tally, learned = note["history"], Tally(runtime, note["tally"]), note["learned"]
    lay_moments(optimisers, runtime)
    journal = Journal(context, runtime, learned)
    meter = Meter(config.batch * config.accumulate, runtime, flops_per_clip, waited)

    def save() -> None:
        if not math.isfinite(runtime.fetch({"weights": state.finite()})["weights"]):
            raise UsageError(f"training: weights are not finite at step {step}. The last checkpoint is kept")
        note = {
            "config": config.model_dump(mode="json"),
            "history": history,
            "tally": tally.state(),
            "learned": journal.learned,
        }
        with checkpoints.room():
            journal.flush()
            checkpoints.save(step, runtime.to_host(state.tensors()), note, state.sharded)

    saved = time.monotonic()
    timed = step
    generator = torch.Generator()
    model.train()
    with _termination() as terminated:
        for _ in _progress(range(step, config.steps), context.stage, runtime):
            generator.manual_seed(context.seed * 1_000_003 + step)
            scalars: dict[str, Tensor] = {}
            names: list[str] = []
            for draw in range(config.accumulate):
                sync_gradients(model, draw == config.accumulate - 1)
                with runtime.autocast():
                    drawn = losses(generator)
                (drawn["loss"] / config.accumulate).backward()  # type: ignore[no-untyped-call]
                for name, value in drawn.items():
                    scalars[name] = scalars.get(name, 0.0) + value.detach() / config.accumulate
                names += batch_names() if batch_names else ()
            rate = learning_rate(step, config)
            norm = state.step(runtime.varying(rate), config.clip)
            state.follow(runtime.varying(1.0 - min(config.ema, (1 + step) / (10 + step))))
            tally.add({**scalars, "gradient": norm}, names)
            runtime.step_done()
            step += 1

            stop = runtime.any(terminated.is_set())
            row_due = step % config.log_every == 0 or step == config.steps
            if not row_due and not stop:
                continue
            means = tally.means()
            if not all(map(math.isfinite, means.values())):
                raise _diverged(step, tally, context, runtime)
            if row_due:
                history.append({"step": step, **means, "learning_rate": rate})
                tally.clear()
                journal.row(history[-1], meter.lap(step - timed))
            if stop:
                save()
                raise SystemExit(RETRY)
            if samples and config.samples_every and step % config.samples_every == 0:
                journal.samples(step, _draw(samples, model, state, runtime))
            if runtime.any(time.monotonic() - saved >= config.checkpoint_seconds):
                save()
                saved = time.monotonic()
            timed = step
            meter.start()
    save()
    state.settle()
    gather(model)
    model.eval()
    if speed := meter.whole():
        journal.close(speed)
        if runtime.first:
            print(f"{context.stage}: {speed}", file=sys.stderr)
    return history


def learning_rate(step: int, config: FitConfig) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def _progress(steps: range, stage: str, runtime: Runtime) -> Iterable[int]:
    return track(steps, total=len(steps), label=stage, unit="steps") if runtime.first else steps


def _draw(
    samples: Callable[[], tuple[object, object, int]],
    model: nn.Module,
    state: TrainingState,
    runtime: Runtime,
) -> Samples:
    """Samples of the average of the weights, after which training goes on as if nothing had been drawn.

    They run uncompiled: compiling another graph for a few films takes longer than the films.
    """
    model.eval()
    with (
        torch.compiler.set_stance("force_eager"),
        torch.no_grad(),
        state.averaged(),
        runtime.autocast(),
    ):
        drawn = Samples(*samples())  # type: ignore[arg-type]
        reshard(model)
    model.train()
    return drawn


def _diverged(step: int, tally: Tally, context: Context, runtime: Runtime) -> UsageError:
    """The error of a loss that is not finite, naming the step and this process's share of its batch, which a
    mark holds whole.
    """
    ago, batch = tally.first_bad()
    bad = step - ago + 1
    named = ""
    if batch:
        mark = f"{context.stage}/{context.key}/diverged-{runtime.rank + 1}-of-{runtime.world}.json"
        context.store.set_mark(mark, canonical_json({"step": bad, "batch": list(batch)}))
        more = f" and {len(batch) - 4} more, listed in marks/{mark}" if len(batch) > 4 else ""
        named = f" on the batch {', '.join(batch[:4])}{more}"
    return UsageError(
        f"training: the loss is not finite in step {bad}{named}; lower learning_rate or look at these clips. "
        f"The last checkpoint is kept"
    )


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
