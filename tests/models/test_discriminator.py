import pytest
import torch

from veo_core.models.discriminator import PatchDiscriminator


@pytest.fixture
def discriminator() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(8)


def test_discriminator_judges_each_patch(discriminator):
    assert discriminator(torch.randn(2, 3, 5, 16, 24)).shape == (2, 1, 5, 4, 6)


def test_hinge_losses_are_those_of_the_paper(discriminator):
    true, rebuilt = torch.randn(2, 2, 3, 5, 16, 16)
    fooling, telling = discriminator.hinge_losses(true, rebuilt)
    on_true, on_rebuilt = discriminator(true), discriminator(rebuilt)
    torch.testing.assert_close(fooling, -on_rebuilt.mean())
    torch.testing.assert_close(telling, (1 - on_true).relu().mean() + (1 + on_rebuilt).relu().mean())


def test_each_hinge_loss_has_gradients_for_its_own_side_alone(discriminator):
    true, rebuilt = torch.randn(2, 2, 3, 5, 16, 16)
    rebuilt.requires_grad_()
    fooling, telling = discriminator.hinge_losses(true, rebuilt)
    fooling.backward()
    assert rebuilt.grad.abs().sum() > 0
    assert all(p.grad is None for p in discriminator.parameters())
    rebuilt.grad = None
    telling.backward()
    assert rebuilt.grad is None
    assert all(p.grad.abs().sum() > 0 for p in discriminator.parameters() if p.dim() > 1)
