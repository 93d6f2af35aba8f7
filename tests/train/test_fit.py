import math

import pytest
import torch
from small_run import CONFIG, Residual, SmallRun, context
from torch import nn

from veo_core.errors import UsageError
from veo_core.storage import Store
from veo_core.train.checkpoint import Checkpoints
from veo_core.train.loop import FitConfig, learning_rate
from veo_core.train.optimiser import build_optimisers
from veo_core.train.runtime import Runtime, RuntimeConfig
from veo_core.train.state import TrainingState


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def with_(**changes) -> FitConfig:
    return FitConfig.model_validate({**CONFIG.model_dump(), **changes})


def assert_same_weights(a: SmallRun, b: SmallRun, **tolerance) -> None:
    for name, weight in a.weights().items():
        if tolerance:
            torch.testing.assert_close(b.weights()[name], weight, **tolerance)
        else:
            assert torch.equal(b.weights()[name], weight), name


def test_fit_lowers_the_loss_and_logs_every_interval(store):
    history = SmallRun(with_(steps=200, learning_rate=1e-2)).fit(store)
    assert [row["step"] for row in history] == list(range(5, 201, 5))
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]
    assert set(history[0]) == {"step", "loss", "gradient", "learning_rate"}


@pytest.mark.parametrize("crash", [2, 8, 11, 22])
@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(store, crash, optimiser):
    config = with_(optimiser=optimiser)
    whole = SmallRun(config)
    expected = whole.fit(store, "whole")
    killed = SmallRun(config)
    killed.at[crash] = ConnectionError("killed")
    with pytest.raises(ConnectionError):
        killed.fit(store, "killed")
    resumed = SmallRun(config)
    assert resumed.fit(store, "killed") == expected
    assert resumed.calls == CONFIG.steps - (crash - 1) // 5 * 5
    assert_same_weights(whole, resumed)


def test_terminated_run_saves_exits_with_143_and_resumes_at_that_step(store):
    whole = SmallRun()
    expected = whole.fit(store, "whole")
    stopped = SmallRun(with_(checkpoint_seconds=1e9))
    stopped.at[7] = "terminate"
    with pytest.raises(SystemExit) as stop:
        stopped.fit(store, "stopped")
    assert stop.value.code == 143
    resumed = SmallRun()
    assert resumed.fit(store, "stopped") == expected
    assert resumed.calls == CONFIG.steps - 7
    assert_same_weights(whole, resumed)


def test_loss_that_is_not_finite_stops_naming_step_and_batch_and_keeps_the_checkpoint(store):
    run = SmallRun()
    run.at[13] = "nan"
    with pytest.raises(UsageError, match=r"not finite in step 13 on the batch clip-\d+, .* 4 more") as error:
        run.fit(store)
    assert "\n" not in str(error.value)
    tensors, checkpoint = Checkpoints(context(store)).load()
    assert checkpoint.step == 10
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    again = SmallRun()
    again.fit(store, "other")
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 12)
    again.losses(generator)
    assert all(name in store.get_mark("small/k/diverged-1-of-1.json").decode() for name in again.drawn)


def test_weights_that_are_not_finite_are_never_saved(store):
    run = SmallRun(with_(steps=5))

    def spoil(bias: torch.Tensor) -> None:
        if run.calls == 5:
            bias.data.fill_(math.inf)

    run.model.leave.bias.register_post_accumulate_grad_hook(spoil)
    with pytest.raises(UsageError, match="weights are not finite at step 5"):
        run.fit(store)
    assert Checkpoints(context(store)).load() is None


def test_gradients_of_several_draws_make_one_step_of_their_mean(store):
    run, alone = SmallRun(with_(steps=1, accumulate=2, clip=1e9)), SmallRun()
    summed = []
    run.model.leave.weight.register_post_accumulate_grad_hook(lambda p: summed.append(p.grad.clone()))
    (row,) = run.fit(store)
    assert run.calls == 2

    generator = torch.Generator().manual_seed(3 * 1_000_003)
    losses = [alone.losses(generator)["loss"] for _ in range(2)]
    mean = torch.stack(losses).mean()
    mean.backward()
    assert row["loss"] == pytest.approx(mean.item(), rel=1e-5)
    torch.testing.assert_close(summed[-1], alone.model.leave.weight.grad)


def test_model_ends_with_the_average_of_its_weights(store):
    """With one step of decay 0 the average is the weights; with more it lags behind them."""
    followed, last = SmallRun(with_(ema=0.0)), SmallRun(with_(ema=0.9))
    followed.fit(store, "a")
    last.fit(store, "b")
    tensors, _ = Checkpoints(context(store, "a")).load()
    assert torch.equal(followed.weights()["enter.weight"], tensors["weights/enter.weight"])
    tensors, _ = Checkpoints(context(store, "b")).load()
    assert torch.equal(last.weights()["enter.weight"], tensors["average/enter.weight"])
    assert not torch.equal(tensors["average/enter.weight"], tensors["weights/enter.weight"])


def test_recomputed_blocks_train_the_same_model_bit_for_bit(store):
    plain = SmallRun()
    expected = plain.fit(store, "plain")
    runtime = {**CONFIG.runtime.model_dump(), "recompute": 2}
    recomputed = SmallRun(with_(runtime=runtime))
    assert recomputed.fit(store, "recomputed") == expected
    assert_same_weights(plain, recomputed)
    assert list(recomputed.model.state_dict()) == list(plain.model.state_dict())


def test_recomputation_runs_the_forward_pass_of_every_nth_block_again(store):
    runtime = {**CONFIG.runtime.model_dump(), "recompute": 2}
    run = SmallRun(with_(steps=1, runtime=runtime))
    passes = [0, 0, 0]
    for number, block in enumerate(run.model.blocks):
        block.rise.register_forward_hook(lambda *_, n=number: passes.__setitem__(n, passes[n] + 1))
    run.fit(store)
    assert passes == [2, 1, 2]


def test_recomputation_of_a_model_without_blocks_is_refused(store):
    runtime = {**CONFIG.runtime.model_dump(), "recompute": 1}
    with pytest.raises(UsageError, match=r"runtime.recompute: Linear has no blocks"):
        SmallRun(with_(runtime=runtime), nn.Linear(4, 1)).fit(store)


def test_muon_takes_the_matrices_inside_blocks_and_adamw_the_rest():
    model = Residual()
    model.blocks[0].scale = nn.Parameter(torch.ones(3))
    muon, adamw = build_optimisers(
        model, "muon", learning_rate=1e-3, weight_decay=0.1, runtime=Runtime(CONFIG.runtime)
    )
    names = {id(p): name for name, p in model.named_parameters()}
    taken = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert isinstance(muon, torch.optim.Muon)
    assert taken == {f"blocks.{n}.{layer}.weight" for n in range(3) for layer in ("rise", "fall")}
    decayed, free = ({names[id(p)] for p in group["params"]} for group in adamw.param_groups)
    assert decayed == {"enter.weight", "leave.weight"}
    assert taken | decayed | free == set(names.values())
    assert {group["weight_decay"] for group in adamw.param_groups} == {0.1, 0.0}


def test_muon_follows_the_schedule_at_its_own_rate():
    model = Residual()
    optimisers = build_optimisers(
        model, "muon", learning_rate=1e-3, weight_decay=0.0, muon_scale=3.0, runtime=Runtime(CONFIG.runtime)
    )
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    TrainingState(model, optimisers).step(2e-3, 1.0)
    assert [group["lr"] for o in optimisers for group in o.param_groups] == pytest.approx([6e-3, 2e-3, 2e-3])


def test_muon_of_a_model_without_blocks_is_refused(store):
    with pytest.raises(UsageError, match="optimiser: Linear has no blocks"):
        SmallRun(with_(optimiser="muon"), nn.Linear(4, 1)).fit(store)


def test_muon_learns(store):
    history = SmallRun(with_(steps=100, optimiser="muon", learning_rate=1e-2)).fit(store)
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]


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
