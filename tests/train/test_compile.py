"""What compilation makes of the training step: one graph, no break, one compilation for each shape."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from made_latents import SPEC, made_latents
from small_run import CONFIG, SmallRun
from torch._dynamo.testing import CompileCounter

from veo_core.data.latents import LatentLayout, load_latents
from veo_core.diffusion.build import build_objective
from veo_core.diffusion.objective import Batch, denoising_losses
from veo_core.models.text import Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.storage import Store
from veo_core.train.base import BaseTraining, BatchSource
from veo_core.train.captions import Captions
from veo_core.train.loop import FitConfig
from veo_core.train.parallel import parallelize
from veo_core.train.runtime import Runtime

TINY = {
    "batch": 4, "width": 32, "depth": 3, "heads": 2, "text_length": 8,
    "runtime": {"accelerator": "cpu", "bfloat16": False},
}  # fmt: skip
WORDS = Vocabulary.from_captions(["a red circle moving left"])


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> list[Batch]:
    """Of base training at a tiny size, each drawn anew."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    (train,) = load_latents(made_latents(store), store)["train"]
    config = BaseTraining.model_validate(TINY)
    with BatchSource([train], Captions(WORDS, config.text_length), config, Runtime(config.runtime)) as source:
        return [source.draw(torch.Generator().manual_seed(seed)) for seed in range(3)]


def model_and_step(**runtime):
    """The base model and what a training step does with it before the optimiser."""
    config = BaseTraining.model_validate({**TINY, "runtime": {**TINY["runtime"], **runtime}})
    objective = build_objective(config.objective)
    torch.manual_seed(0)
    layout = LatentLayout(clip=SPEC, video_channels=16, audio_channels=16)
    model = JointTransformer(config.model_config_for(layout, WORDS))

    def step(batch: Batch) -> torch.Tensor:
        return denoising_losses(objective, model, batch, config.loss)["loss"]

    return model, step, config


def half(batch: Batch) -> Batch:
    """Another shape, as of another bucket."""
    return replace(batch, **{field.name: getattr(batch, field.name)[:2] for field in fields(batch)})


def test_step_of_the_base_model_is_one_graph_without_a_break(batches):
    _, step, _ = model_and_step()
    explained = torch._dynamo.explain(step)(batches[0])
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)


def test_step_compiles_once_for_each_shape(batches):
    _, step, _ = model_and_step()
    counter = CompileCounter()
    compiled = torch.compile(step, backend=counter, fullgraph=True, dynamic=False)
    for batch in [*batches, half(batches[0]), half(batches[1]), batches[2]]:
        compiled(batch).backward()
    assert counter.frame_count == 2


def test_blocks_compile_once_for_each_shape_and_share_what_is_compiled(batches, monkeypatch):
    model, step, config = model_and_step(compile=True, compile_region="blocks")
    counter = CompileCounter()
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **o: compile_with(f, backend=counter, **o))
    monkeypatch.setattr(Runtime, "compiles", True)  # these back ends need no C++ compiler
    names = list(model.state_dict())
    parallelize(model, Runtime(config.runtime))
    for batch in [*batches, half(batches[0]), half(batches[1]), batches[2]]:
        step(batch).backward()
    assert counter.frame_count == 2
    assert len(model.blocks) == 3
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("region", ["blocks", "model"])
@pytest.mark.parametrize("recompute", [0, 2])
def test_compiled_run_has_the_losses_of_an_eager_one(tmp_path, monkeypatch, region, recompute):
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **o: compile_with(f, backend="aot_eager", **o))
    monkeypatch.setattr(Runtime, "compiles", True)
    runtime = CONFIG.runtime.model_dump() | {
        "compile": True,
        "compile_region": region,
        "recompute": recompute,
    }
    compiled = SmallRun(FitConfig.model_validate({**CONFIG.model_dump(), "runtime": runtime}))
    history = compiled.fit(Store(str(tmp_path / "compiled")))
    for row, other in zip(SmallRun().fit(Store(str(tmp_path / "eager"))), history, strict=True):
        assert other == pytest.approx(row, rel=1e-4)


def test_samples_of_a_compiled_run_compile_nothing_more(tmp_path, monkeypatch):
    counter = CompileCounter()
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **o: compile_with(f, backend=counter, **o))
    monkeypatch.setattr(Runtime, "compiles", True)
    changes = {"samples_every": 10, "runtime": CONFIG.runtime.model_dump() | {"compile": True}}
    run = SmallRun(FitConfig.model_validate({**CONFIG.model_dump(), **changes}))

    def film():
        run.model(torch.ones(2, 4))
        return np.zeros((1, 2, 8, 8, 3), np.uint8), np.zeros((1, 800), np.float32), 8000

    run.fit(Store(str(tmp_path / "store")), samples=film)
    assert counter.frame_count == 1


def test_a_machine_without_a_compiler_trains_without_compiling_and_says_so(batches, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    model, step, config = model_and_step(compile=True)
    parallelize(model, Runtime(config.runtime))
    step(batches[0]).backward()
    assert "no C++ compiler" in capsys.readouterr().out
