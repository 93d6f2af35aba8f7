"""LPIPS against the lpips package, given the same random weights."""

from pathlib import Path

import lpips
import pytest
import torch
from safetensors.torch import save_file

from veo_core.errors import UsageError
from veo_core.models.perceptual import PerceptualConfig, PerceptualLoss

NETS = ("alex", "vgg")


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[lpips.LPIPS, Path]]:
    """The package's module with random weights and non-negative heads, and its weights as safetensors."""
    torch.manual_seed(0)
    made = {}
    for net in NETS:
        reference = lpips.LPIPS(pretrained=False, pnet_rand=True, net=net, verbose=False)
        with torch.no_grad():
            for head in reference.lins:
                head.model[1].weight.abs_()
        path = tmp_path_factory.mktemp("lpips") / f"lpips_{net}.safetensors"
        save_file({k: v for k, v in reference.state_dict().items() if "lins." not in k}, path)
        made[net] = (reference, path)
    return made


def clips(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(2, 3, 3, 64, 48, generator=generator) * 2 - 1
    return a, (a + 0.3 * torch.randn(a.shape, generator=generator)).clamp(-1, 1)


@pytest.mark.parametrize("net", NETS)
def test_distance_is_the_mean_of_the_package_over_frames(references, net):
    reference, path = references[net]
    loss = PerceptualLoss(PerceptualConfig(path=str(path), net=net))
    a, b = clips()
    with torch.no_grad():
        expected = torch.stack([reference(a[:, :, t], b[:, :, t]).mean() for t in range(3)]).mean()
    assert loss(a, b).shape == ()
    torch.testing.assert_close(loss(a, b), expected, atol=1e-6, rtol=1e-4)
    assert loss(a, b) > 0.0 == loss(a, a)


def test_gradient_reaches_the_clip_and_not_the_weights_and_is_finite_for_equal_clips(references):
    loss = PerceptualLoss(PerceptualConfig(path=str(references["alex"][1]), net="alex"))
    a, b = clips()
    rebuilt = b.clone().requires_grad_()
    loss(rebuilt, a).backward()
    assert rebuilt.grad.abs().max() > 0
    equal = torch.zeros_like(a).requires_grad_()
    loss(equal, torch.zeros_like(a)).backward()
    assert equal.grad.isfinite().all()
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_weights_when_they_cannot_be_used_then_it_says_how_to_mend(references, tmp_path):
    path = references["alex"][1]

    def refused(at: Path, net: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            PerceptualLoss(PerceptualConfig(path=str(at), net=net))

    refused(tmp_path / "none.safetensors", "vgg", r"there is no such file; .*LPIPS\(net='vgg'\)")
    refused(tmp_path / "alex.pth", "alex", r"not a \.safetensors file; where the lpips package")
    refused(path, "vgg", r"no weights of LPIPS with net vgg")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:-10])
    refused(damaged, "alex", r"cannot be loaded: [^\n]+$")
