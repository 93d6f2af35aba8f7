"""Training on XLA's CPU backend, over several virtual devices, against eager PyTorch."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train import base
from veo_core.train.loop import FitConfig
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.train.state import TrainingState

sys.path.append(str(Path(__file__).parents[1] / "train"))

from made_latents import made_latents
from small_run import CONFIG, Residual, SmallRun

pytestmark = pytest.mark.xla

RUNTIME = {"accelerator": "xla", "bfloat16": False}
TINY = {
    "batch": 4, "log_every": 1, "warmup": 0, "text_length": 8, "learning_rate": 1e-2,
    "width": 32, "depth": 1, "heads": 2, "local_width": 8, "local_depth": 1,
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


@pytest.fixture
def compiled(monkeypatch) -> list[int]:
    """How many programs were compiled at the end of each step, that which makes the moments first."""
    counts, step_done = [], Runtime.step_done

    def counted(self: Runtime) -> None:
        before = compilations()
        step_done(self)
        counts.append(compilations() - before)

    monkeypatch.setattr(Runtime, "step_done", counted)
    return counts


def train(accelerator: str, store: Store, steps: int = 3, **changes) -> Manifest:
    """The stage's manifest after so many steps of the base model."""
    runtime = {**RUNTIME, "accelerator": accelerator}
    config = base.BaseTraining.model_validate({**TINY, "steps": steps, "runtime": runtime, **changes})
    context = Context(stage="base", store=store, seed=0, key=accelerator, workers=1)
    return base.run(latents=made_latents(store), config=config, context=context)


def history(manifest: Manifest, store: Store) -> list[dict[str, float]]:
    return [json.loads(line) for line in store.get_bytes(manifest.files["history"]).splitlines()]


def compilations() -> int:
    import torch_xla.debug.metrics as metrics

    return (metrics.metric_data("CompileTime") or (0,))[0]


def small_run(optimiser: str) -> SmallRun:
    config = {**CONFIG.model_dump(), "steps": 6, "log_every": 1, "optimiser": optimiser, "runtime": RUNTIME}
    return SmallRun(FitConfig.model_validate(config), Residual(width=16))


def sharding_of(tensor: torch.Tensor) -> str:
    import torch_xla

    return torch_xla._XLAC._get_xla_sharding_spec(tensor)


def test_batches_and_weights_are_laid_over_all_devices():
    import torch_xla.runtime

    runtime = Runtime(RuntimeConfig(accelerator="xla"))
    assert runtime.devices == torch_xla.runtime.global_runtime_device_count() == 4
    assert "devices=[4,1]" in sharding_of(runtime.shard(torch.randn(8, 3)))
    layer = runtime.place(torch.nn.Linear(3, 8))
    runtime.spread(layer.parameters())
    assert "devices=[4,1]" in sharding_of(layer.weight)


def test_tensors_that_lie_over_devices_are_fetched_without_compiling():
    import torch_xla

    runtime = Runtime(RuntimeConfig(accelerator="xla"))
    tensors = {"cut": torch.randn(8, 3), "whole": torch.randn(3, 2), "scalar": torch.tensor(2.0)}
    sent = {name: runtime.send(tensor) for name, tensor in tensors.items()}
    runtime.spread(sent.values())
    torch_xla.sync()
    before = compilations()
    fetched = runtime.to_host(sent)
    assert compilations() == before
    for name, tensor in tensors.items():
        assert fetched[name].device.type == "cpu"
        assert torch.equal(fetched[name], tensor)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_three_steps_on_xla_are_one_program_and_equal_those_of_eager_pytorch(store, compiled, optimiser):
    # XLA goes first: autograd learns of devices at its first backward pass.
    xla = train("xla", store, optimiser=optimiser)
    assert compiled == [1, 1, 0, 0]
    eager = train("cpu", store, optimiser=optimiser)
    rows, expected = history(xla, store), history(eager, store)
    assert [row["step"] for row in rows] == [1, 2, 3]
    for name in ("loss", "video", "audio", "gradient"):
        assert [row[name] for row in rows] == pytest.approx([row[name] for row in expected], rel=1e-3)
    assert expected[0]["loss"] != expected[2]["loss"]
    found, weights = (load(store.get_bytes(made.files["weights"])) for made in (xla, eager))
    tolerance = 1e-3 if optimiser == "adamw" else 1e-2  # Muon multiplies in bfloat16
    for name, weight in weights.items():
        torch.testing.assert_close(found[name], weight, atol=tolerance, rtol=0)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_step_s_program_is_compiled_once_also_for_a_run_that_goes_on(tmp_path, compiled, optimiser):
    run = small_run(optimiser)
    run.at = {4: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run.fit(Store(str(tmp_path)))
    assert compiled == [1, 1, 0, 0]
    compiled.clear()
    small_run(optimiser).fit(Store(str(tmp_path)))
    assert compiled[2:] == [0, 0]  # after the moments put back and the first step


def test_moments_are_laid_over_devices_like_the_weights(tmp_path, monkeypatch):
    layouts = []

    def looked_at(self: TrainingState, rate: float, clip: float) -> torch.Tensor:
        named = {name: sharding_of(tensor) for name, tensor in self.tensors().items() if tensor.dim()}
        layouts.append({(name.split("/")[1], layout) for name, layout in named.items()})
        return step(self, rate, clip)

    step = TrainingState.step
    monkeypatch.setattr(TrainingState, "step", looked_at)
    run = small_run("muon")
    run.at = {3: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run.fit(Store(str(tmp_path)))
    small_run("muon").fit(Store(str(tmp_path)))
    assert len(layouts) == 6
    for found in layouts:
        assert len(found) == len(run.model.state_dict())  # one layout for a weight, its average and moments
        assert dict(found)["blocks.0.rise.weight"].startswith("{devices=[4,1]")
