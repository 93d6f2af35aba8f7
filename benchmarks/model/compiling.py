"""Bar 6: the train step compiles without a break, once for each bucket; batches are there when wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch._dynamo
from torch._dynamo.callback import CallbackArgs, CallbackTrigger, callback_handler
from torch._dynamo.utils import counters

from benchmarks.model.trained import TrainedRun
from benchmarks.report import Row
from veo_core.data.latents import load_latents
from veo_core.stage import Context
from veo_core.train import base as base_stage
from veo_core.train.journal import throughput_of
from veo_core.train.throughput import Throughput

_REGIONS = {"blocks": "each block compiled", "model": "the whole model compiled"}


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Train the base model for some steps by its stage: compiled by blocks, compiled whole, and as it is.

    The stage asks for one graph (`fullgraph=True`): a part that could not be one would end it.
    """
    steps = 8 if quick else 60
    buckets = len(load_latents(run.manifest("encode-latents"), run.store)["train"])
    for region, words in _REGIONS.items():
        if quick and region == "model":
            continue
        with compilations() as found:
            speed = _train(run, steps, seed, {"compile": True, "compile_region": region})
        breaks = sum(counters["graph_break"].values())
        yield Row(f"{words}: graph breaks", breaks, "", target=0.0, op="<=")
        count, limit = len(found) / buckets, 1.0
        yield Row(f"{words}: compilations a bucket in {steps} steps", count, "", target=limit, op="<=")
        yield Row(f"{words}: training", speed.clips_per_second, "clips/s")
    speed = _train(run, steps, seed, {"compile": False})
    yield Row("nothing compiled: training", speed.clips_per_second, "clips/s")
    assert speed.waiting is not None
    yield Row("share of a step that waits for its batch", speed.waiting, "share", target=0.05, op="<=")


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Collects the graphs of training that are compiled meanwhile; those of validation learn nothing."""
    found: list[str] = []

    def note(event: CallbackArgs) -> None:
        if event.callback_trigger is CallbackTrigger.DYNAMO and torch.is_grad_enabled():
            found.append(event.compile_id)

    torch._dynamo.reset()
    counters.clear()
    callback_handler.register_start_callback(note)
    try:
        yield found
    finally:
        callback_handler.remove_start_callback(note)


def _train(run: TrainedRun, steps: int, seed: int, runtime: dict[str, object]) -> Throughput:
    config = base_stage.BaseTraining.parse(run.config("train_base"), where="train_base")
    changes = {"steps": steps, "log_every": 4, "runtime": config.runtime.model_copy(update=runtime)}
    key = "-".join(map(str, ("compile", *runtime.values())))
    context = Context(stage="bench", store=run.store, seed=seed, key=key, workers=1)
    base_stage.run(
        latents=run.manifest("encode-latents"), config=config.model_copy(update=changes), context=context
    )
    return throughput_of(context)
