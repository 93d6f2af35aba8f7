import pytest
import torch
from torch import nn
from torch.nn import functional as F

from veo_core.models.audio_vae import AudioVAE
from veo_core.models.layers import Convolution
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1), (3, 3, 3)])
@pytest.mark.parametrize("causal", [True, False])
def test_convolution_of_pictures_equals_that_of_pytorch_with_its_weights(kernel, causal):
    ours = Convolution(4, 5, kernel, causal=causal)
    theirs = nn.Conv3d(
        4, 5, kernel, padding=(0 if causal else kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    )
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.view(5, *kernel, 4).permute(0, 4, 1, 2, 3))
        theirs.bias.copy_(ours.bias)
    x = torch.randn(2, 4, 6, 7, 8)
    padded = F.pad(x, (0, 0, 0, 0, kernel[0] - 1 if causal else 0, 0))
    torch.testing.assert_close(ours(x), theirs(padded))
    assert ours(x).shape == (2, 5, 6, 7, 8)


def test_convolution_of_sound_equals_that_of_pytorch_with_its_weights():
    ours, theirs = Convolution(4, 5, (3,)), nn.Conv1d(4, 5, 3)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.view(5, 3, 4).permute(0, 2, 1))
        theirs.bias.copy_(ours.bias)
    x = torch.randn(2, 4, 9)
    torch.testing.assert_close(ours(x), theirs(F.pad(x, (2, 0))))


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (VideoVAE(VideoVAE.Config(width=16, depth=2)), 5),
        (AudioVAE(AudioVAE.Config(width=16, depth=2)), 4),
        (Upsampler(Upsampler.Config(width=16, depth=3)), 3),
    ],
)
def test_every_weight_in_the_blocks_that_multiplies_is_a_matrix_that_muon_takes(model, count):
    assert len(model.blocks) == count
    weights = {name: p.dim() for block in model.blocks for name, p in block.named_parameters()}
    assert set(weights.values()) == {1, 2}
    assert all(dim == 2 for name, dim in weights.items() if name.endswith("weight"))
