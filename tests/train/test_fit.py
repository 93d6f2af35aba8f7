import math
import os
import signal

import pytest
import torch
from torch import nn

from veo_core.errors import UsageError
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.train.checkpoint import Checkpoints
from veo_core.train.loop import FitConfig, fit, learning_rate
from veo_core.train.runtime import Runtime, RuntimeConfig

CONFIG = FitConfig(steps=23, batch=8, log_every=5, warmup=3, checkpoint_seconds=0.0)


class Line:
    """A regression that counts its steps and can fail at one of them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 1))
        self.calls = 0
        self.at: dict[int, object] = {}

    def losses(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        self.calls += 1
        x = torch.randn(8, 4, generator=generator)
        loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        match self.at.get(self.calls):
            case BaseException() as error:
                raise error
            case "terminate":
                os.kill(os.getpid(), signal.SIGTERM)
            case "nan":
                loss = loss * math.nan
        return {"loss": loss}

    def fit(self, store: Store, key: str, config: FitConfig = CONFIG) -> list[dict[str, float]]:
        context = Context(stage="line", store=store, seed=3, key=key, workers=1)
        return fit(self.model, self.losses, config=config, runtime=Runtime(config.runtime), context=context)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def test_fit_lowers_the_loss_and_logs_every_interval(store):
    history = Line().fit(store, "a", CONFIG.model_copy(update={"steps": 200, "learning_rate": 1e-2}))
    assert [row["step"] for row in history] == list(range(5, 201, 5))
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]
    assert set(history[0]) == {"step", "loss", "gradient", "learning_rate"}


@pytest.mark.parametrize("crash", [2, 8, 11, 22])
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(store, crash):
    whole = Line()
    expected = whole.fit(store, "whole")
    killed = Line()
    killed.at[crash] = ConnectionError("killed")
    with pytest.raises(ConnectionError):
        killed.fit(store, "killed")
    resumed = Line()
    assert resumed.fit(store, "killed") == expected
    assert resumed.calls == CONFIG.steps - (crash - 1) // 5 * 5
    for a, b in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_terminated_run_saves_exits_with_143_and_resumes_at_that_step(store):
    whole = Line()
    expected = whole.fit(store, "whole")
    stopped = Line()
    stopped.at[7] = "terminate"
    with pytest.raises(SystemExit) as stop:
        stopped.fit(store, "stopped", CONFIG.model_copy(update={"checkpoint_seconds": 1e9}))
    assert stop.value.code == 143
    resumed = Line()
    history = resumed.fit(store, "stopped")
    assert resumed.calls == CONFIG.steps - 7
    assert [row["loss"] for row in history] == pytest.approx([row["loss"] for row in expected], rel=1e-6)
    for a, b in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_loss_that_is_not_finite_stops_naming_the_steps_and_keeps_the_checkpoint(store):
    line = Line()
    line.at[13] = "nan"
    with pytest.raises(UsageError, match="step 13"):
        line.fit(store, "nan")
    context = Context(stage="line", store=store, seed=3, key="nan", workers=1)
    tensors, checkpoint = Checkpoints(context).load()
    assert checkpoint.step == 10
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_checkpoint_when_its_tensors_were_altered_then_it_is_refused(store):
    context = Context(stage="line", store=store, seed=0, key="x", workers=1)
    Checkpoints(context).save(1, {"a": torch.ones(2)}, {})
    store.set_mark("line/x/checkpoint-0-1-of-1.safetensors", b"other")
    with pytest.raises(UsageError, match="damaged"):
        Checkpoints(context).load()


def test_checkpoint_when_a_save_is_cut_short_then_the_one_before_counts(store):
    context = Context(stage="line", store=store, seed=0, key="x", workers=1)
    Checkpoints(context).save(1, {"a": torch.ones(2)}, {})
    store.set_mark("line/x/checkpoint-1-1-of-1.safetensors", b"half of the next one")
    tensors, checkpoint = Checkpoints(context).load()
    assert checkpoint.step == 1
    assert torch.equal(tensors["a"], torch.ones(2))


def test_learning_rate_warms_up_to_its_peak_and_falls_to_zero():
    config = FitConfig(steps=110, warmup=10, learning_rate=1.0)
    rates = [learning_rate(step, config) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[110] == pytest.approx(0.0)


def test_runtime_when_an_accelerator_is_missing_then_it_names_the_key():
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(UsageError, match=r"runtime\.accelerator"):
        Runtime(RuntimeConfig(accelerator="cuda"))
    assert Runtime(RuntimeConfig(accelerator="cpu")).device.type == "cpu"
