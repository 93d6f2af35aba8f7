"""The training loop on XLA's CPU backend, over several virtual devices, against eager PyTorch."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "train"))

from made_latents import made_latents

from veo_core.data.latents import load_latents
from veo_core.diffusion.build import build_objective
from veo_core.diffusion.objective import denoising_losses
from veo_core.models.text import Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train.base import BaseTraining, BatchSource
from veo_core.train.loop import fit
from veo_core.train.runtime import Runtime

pytestmark = pytest.mark.xla

WORDS = Vocabulary.from_captions(["a red circle moving left"])
TINY = {
    "batch": 4, "log_every": 1, "warmup": 0, "text_length": 8, "learning_rate": 1e-2,
    "width": 32, "depth": 1, "heads": 2,
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def train(accelerator: str, store: Store, steps: int = 3, **changes) -> tuple[list[dict[str, float]], dict]:
    """The history and the weights of so many steps of the base model."""
    runtime = {"accelerator": accelerator, "bfloat16": False}
    config = BaseTraining.model_validate({**TINY, "steps": steps, "runtime": runtime, **changes})
    runtime, objective = Runtime(config.runtime), build_objective(config.objective)
    (bucket,) = load_latents(made_latents(store), store)["train"]
    torch.manual_seed(0)
    model = runtime.place(JointTransformer(config.model_config_for(bucket.layout, WORDS)))
    with BatchSource([bucket], WORDS, config, runtime) as source:
        history = fit(
            model,
            lambda generator: denoising_losses(objective, model, source.draw(generator), config.loss),
            config=config,
            runtime=runtime,
            context=Context(stage="base", store=store, seed=0, key=accelerator, workers=1),
        )
    return history, {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def sharding_of(tensor: torch.Tensor) -> str:
    import torch_xla

    return torch_xla._XLAC._get_xla_sharding_spec(tensor)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_three_steps_on_xla_equal_those_of_eager_pytorch(store, optimiser):
    # XLA goes first: autograd learns of devices at its first backward pass.
    xla, xla_weights = train("xla", store, optimiser=optimiser)
    eager, weights = train("cpu", store, optimiser=optimiser)
    assert [row["step"] for row in xla] == [1, 2, 3]
    for name in ("loss", "video", "audio", "gradient"):
        assert [row[name] for row in xla] == pytest.approx([row[name] for row in eager], rel=1e-3)
    assert eager[0]["loss"] != eager[2]["loss"]
    tolerance = 1e-3 if optimiser == "adamw" else 1e-2  # Muon multiplies in bfloat16
    for name, weight in weights.items():
        torch.testing.assert_close(xla_weights[name], weight, atol=tolerance, rtol=0)


def test_batches_and_weights_are_laid_over_all_devices(store):
    import torch_xla.runtime

    runtime = Runtime(BaseTraining.model_validate({"runtime": {"accelerator": "xla"}}).runtime)
    assert runtime.devices == torch_xla.runtime.global_runtime_device_count() == 4
    assert "devices=[4,1]" in sharding_of(runtime.shard(torch.randn(8, 3)))
    layer = runtime.place(torch.nn.Linear(3, 8))
    runtime.spread(layer)
    assert "devices=[4,1]" in sharding_of(layer.weight)


def test_further_steps_on_xla_compile_nothing_new(tmp_path):
    import torch_xla.debug.metrics as metrics

    train("xla", Store(str(tmp_path / "first")))
    metrics.clear_all()
    train("xla", Store(str(tmp_path / "second")), steps=5)
    assert metrics.metric_data("ExecuteTime")[0] >= 5
    assert metrics.metric_data("CompileTime") is None
