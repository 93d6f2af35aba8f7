import pytest
import torch
from torch import nn

from veo_core.train.muon import StackedMuon, orthogonalised

SHAPES = [(16, 16), (16, 48), (48, 16), (16, 48), (8, 32)]
RATES = {"lr": 0.01, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def train(optimiser: torch.optim.Optimizer, weights: list[nn.Parameter], steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for p in weights:
            p.grad = torch.randn(p.shape, generator=generator)
        optimiser.step()


def test_updates_are_those_of_torch():
    """PyTorch's own adds in bfloat16 in another order: updates differ by that alone."""
    ours, theirs = matrices(), matrices()
    train(StackedMuon(ours, **RATES), ours, 3)
    train(torch.optim.Muon(theirs, **RATES), theirs, 3)
    for p, q, start in zip(ours, theirs, matrices(), strict=True):
        moved = (q - start).norm()
        assert (p - q).norm() < 0.02 * moved
        assert moved > 0.0


def test_state_fits_torch_s_own():
    ours, theirs = matrices(), matrices()
    stacked, plain = StackedMuon(ours, **RATES), torch.optim.Muon(theirs, **RATES)
    train(stacked, ours, 2)
    plain.load_state_dict(stacked.state_dict())
    for p, q in zip(ours, theirs, strict=True):
        assert torch.equal(stacked.state[p]["momentum_buffer"], plain.state[q]["momentum_buffer"])


def test_weights_without_a_gradient_stay_as_they_are():
    weights = matrices()
    weights[1].grad = torch.ones_like(weights[1])
    StackedMuon(weights, **RATES).step()
    for index, (p, start) in enumerate(zip(weights, matrices(), strict=True)):
        assert torch.equal(p, start) == (index != 1)


def test_orthogonalised_matrices_have_singular_values_near_one():
    generator = torch.Generator().manual_seed(2)
    made = orthogonalised(torch.randn(4, 16, 48, generator=generator), (3.4445, -4.7750, 2.0315), 5, 1e-7)
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("rank", [16, 3])
def test_wide_matrices_are_orthogonalised_as_the_plain_iteration_does(rank):
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.randn(4, size, rank, generator=generator) for size in (16, 64))
    strength = torch.logspace(0, -4, rank)
    wide = (left * strength) @ right.mT
    x = (wide / torch.linalg.matrix_norm(wide)[:, None, None]).double()
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    made = orthogonalised(wide, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    assert (made.double() - x).norm() < 1e-3 * x.norm()


def test_rates_scaled_otherwise_are_refused():
    weights = matrices()
    optimiser = StackedMuon(weights, **{**RATES, "adjust_lr_fn": "original"})
    with pytest.raises(ValueError, match="match_rms_adamw"):
        train(optimiser, weights, 1)
