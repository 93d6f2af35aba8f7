"""Small layers that several models share."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """RMS normalisation over the channels of each position, [b, c, ...]; it never mixes time steps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        scale = self.scale.view(-1, *[1] * (x.dim() - 2))
        return x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt() * scale


class Convolution(nn.Module):
    """Convolution over [b, c, t, ...] that keeps lengths and, unless told otherwise, never sees later times.

    Its weights are one matrix [out, kernel * in], so that Muon trains them as it does the matrices of
    transformers (Jordan, "Muon: an optimizer for hidden layers", 2024, flattens convolutions alike). The
    input channel comes last: seen as a kernel, the matrix has the layout that is fastest, channels last.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: tuple[int, ...], *, causal: bool = True
    ) -> None:
        super().__init__()
        fan_in = math.prod(kernel) * channels
        self.weight = nn.Parameter(torch.empty(out_channels, fan_in).uniform_(-1.0, 1.0) / fan_in**0.5)
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-1.0, 1.0) / fan_in**0.5)
        self.kernel = kernel
        self.past = kernel[0] - 1 if causal else 0
        self.padding = (0 if causal else kernel[0] // 2, *(size // 2 for size in kernel[1:]))

    def forward(self, x: Tensor) -> Tensor:
        if self.past:
            x = F.pad(x, [0, 0] * (len(self.kernel) - 1) + [self.past, 0])
        weight = self.weight.view(len(self.weight), *self.kernel, -1).movedim(-1, 1)
        convolve = F.conv3d if len(self.kernel) == 3 else F.conv1d
        return convolve(x, weight, self.bias, padding=self.padding)


class VideoBlock(nn.Module):
    """Residual block of a convolution over space and a causal one over time, [b, c, t, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.space = Convolution(channels, channels, (1, 3, 3))
        self.time = Convolution(channels, channels, (3, 1, 1))
        zero_(self.time)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.time(F.gelu(self.space(self.norm(x))))
        return y


class AudioBlock(nn.Module):
    """Residual block of two causal convolutions over time, [b, c, l]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = Convolution(channels, channels, (3,))
        self.second = Convolution(channels, channels, (3,))
        zero_(self.second)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(F.gelu(self.first(self.norm(x))))
        return y


def zero_(layer: nn.Module) -> None:
    """Set a layer's parameters to zero, so that its branch starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def patchify(x: Tensor, time: int, space: int) -> Tensor:
    """Blocks of `time` x `space` x `space` to channels: [b, c, t, h, w] to [b, c * block, t', h', w']."""
    b, c, t, h, w = x.shape
    blocks = x.view(b, c, t // time, time, h // space, space, w // space, space)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


def unpatchify(x: Tensor, time: int, space: int) -> Tensor:
    """The inverse of `patchify`."""
    b, c, t, h, w = x.shape
    blocks = x.view(b, c // (time * space * space), time, space, space, t, h, w)
    channels_last = blocks.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return channels_last.reshape(b, -1, t * time, h * space, w * space)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention, [b, heads, n, d] with keys [b, heads, m, d]; mask [b, 1, 1, m] is True to attend.

    On CPUs plain products are used: the fused kernel's bfloat16 backward is five times slower there.
    """
    if q.device.type == "cpu":
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        mixed: Tensor = scores.softmax(-1) @ v
        return mixed
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
