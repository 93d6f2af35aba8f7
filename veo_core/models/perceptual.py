"""LPIPS: how far apart two pictures look, by the features of a frozen image classifier.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (1801.03924).
"""

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.storage.pinned import read_file

_NETS = {
    "vgg": ("vgg16", (0, 4, 9, 16, 23, 30), (64, 128, 256, 512, 512)),
    "alex": ("alexnet", (0, 2, 5, 8, 10, 12), (64, 192, 384, 256, 256)),
}
"""By name: the classifier, where its layers are cut, and the channels that leave each part."""

_CONVERT = (
    "where the lpips package has its weights, run: import lpips, safetensors.torch as s; "
    "s.save_file({{k: v for k, v in lpips.LPIPS(net='{net}').state_dict().items() if 'lins.' not in k}}, "
    "'lpips_{net}.safetensors')"
)


class PerceptualConfig(Record):
    """Which weights LPIPS uses."""

    path: str = Field(description="file or URI of its backbone and heads, a .safetensors")
    net: Literal["vgg", "alex"] = Field(default="vgg", description="backbone; alex is faster")


class PerceptualLoss(nn.Module):
    """Mean LPIPS between the frames of two clips; its own weights stay as they are.

    Raises:
        UsageError: the weights are missing, damaged, of another net, or no safetensors.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        from torchvision import models  # takes a second to import, which few runs need

        name, cuts, channels = _NETS[config.net]
        with torch.device("meta"):
            layers = list(getattr(models, name)(weights=None).features.named_children())
            self.parts = nn.ModuleList(_named(layers[start:stop]) for start, stop in pairwise(cuts))
            self.heads = nn.ModuleList(nn.Conv2d(count, 1, 1, bias=False) for count in channels)
        self.load_state_dict(_read(config, set(self.state_dict())), assign=True)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, video: Tensor, other: Tensor) -> Tensor:
        """The distance of two clips [b, 3, t, h, w] in [-1, 1], a scalar; zero where they are equal."""
        pictures = [clip.transpose(1, 2).flatten(0, 1) for clip in (video, other)]
        a, b = ((batch - self.shift) / self.scale for batch in pictures)
        total = video.new_zeros(())
        for part, head in zip(self.parts, self.heads, strict=True):
            a, b = part(a), part(b)
            total = total + head((_unit(a) - _unit(b)).square()).mean()
        return total


def _named(layers: list[tuple[str, nn.Module]]) -> nn.Sequential:
    part = nn.Sequential()
    for name, layer in layers:
        part.add_module(name, layer)
    return part


def _unit(features: Tensor) -> Tensor:
    """Features [b, c, h, w] of unit length at each place; the gradient at zero stays finite."""
    return features / (features.square().sum(1, keepdim=True) + 1e-20).sqrt()


def _read(config: PerceptualConfig, expected: set[str]) -> dict[str, Tensor]:
    """The weights by this module's names; the lpips package has them as net.slice1... and lin0.model.1..."""
    where = f"perceptual loss {config.path}"
    how = _CONVERT.format(net=config.net)
    if not config.path.endswith(".safetensors"):
        raise UsageError(f"{where}: not a .safetensors file; {how}")
    try:
        found = load(read_file(config.path, where=where))
    except SafetensorError as error:
        raise UsageError(f"{where}: cannot be loaded: {' '.join(str(error).split())}") from None
    except UsageError as error:
        raise UsageError(f"{error}; {how}") from None
    renamed = {}
    for name, tensor in found.items():
        slot, _, rest = name.removeprefix("net.").partition(".")
        if slot.startswith("slice"):
            renamed[f"parts.{int(slot[5:]) - 1}.{rest}"] = tensor.float()
        elif slot.startswith("lin") and slot != "lins":
            renamed[f"heads.{slot[3:]}.{rest.removeprefix('model.1.')}"] = tensor.float()
    if set(renamed) != expected:
        name = min(set(renamed) ^ expected)
        raise UsageError(f"{where}: these are no weights of LPIPS with net {config.net} ({name}); {how}")
    return renamed
