"""Bar 6: the train step compiles without a break, once for each bucket; batches are there when wanted."""

from collections.abc import Iterator
from pathlib import Path

import torch._dynamo
from torch._dynamo.utils import counters, get_compilation_metrics

from benchmarks.model.trained import TrainedRun
from benchmarks.report import Row
from veo_core.stage import Context
from veo_core.train import base as base_stage
from veo_core.train.journal import throughput_of


def rows(run: TrainedRun, seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Train the base model for some steps by its stage: compiled by blocks, compiled whole, and as it is."""
    steps = 8 if quick else 60
    for region, words in (("blocks", "each block"), ("model", "the whole model")):
        context = Context(stage="bench", store=run.store, seed=seed, key=f"compile-{region}", workers=1)
        torch._dynamo.reset()
        counters.clear()
        before = len(get_compilation_metrics())
        _train(run, steps, context, {"compile": True, "compile_region": region})
        compiles = len(get_compilation_metrics()) - before
        yield Row(f"{words}: graph breaks", sum(counters["graph_break"].values()), "", target=0.0, op="<=")
        yield Row(f"{words}: compilations in {steps} steps of a bucket", compiles, "", target=1.0, op="<=")
        compiled = throughput_of(context)
        yield Row(f"{words}: training, compiled", compiled.clips_per_second, "clips/s")
    context = Context(stage="bench", store=run.store, seed=seed, key="eager", workers=1)
    _train(run, steps, context, {"compile": False})
    eager = throughput_of(context)
    yield Row("training, not compiled", eager.clips_per_second, "clips/s")
    if eager.waiting is not None:
        yield Row("share of a step that waits for its batch", eager.waiting, "share", target=0.05, op="<=")


def _train(run: TrainedRun, steps: int, context: Context, runtime: dict[str, object]) -> None:
    """The stage with `fullgraph=True`: a part that cannot be one graph would end it."""
    config = base_stage.BaseTraining.parse(run.config("train_base"), where="train_base")
    changes = {"steps": steps, "log_every": 4, "runtime": config.runtime.model_copy(update=runtime)}
    base_stage.run(
        latents=run.manifest("encode-latents"), config=config.model_copy(update=changes), context=context
    )
