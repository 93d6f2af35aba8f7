"""How many floating-point operations the models do for one clip.

Counted are products: of matrices, in attention, in convolutions. A multiplication with its addition is two
operations, as in `torch.utils.flop_counter`. Normalisation, modulation, rotation and softmax are left out:
they are a hundredth of the work. So is what a batch does once, such as embedding the coordinates.

A training step does the forward pass, and in the backward pass two products for each of its products: one
for the gradient of the input, one for that of the weights. Recomputation under activation checkpointing is
not counted: the memory needs it, the model does not.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from veo_core.models.layers import Convolution
from veo_core.models.text import TextEncoder
from veo_core.models.transformer import JointTransformer

_LEVEL_FEATURES = 64  # sines and cosines of a noise level


def training_flops(forward: int) -> int:
    """Operations of a training step on one clip, of those of its forward pass."""
    return 3 * forward


def transformer_flops(config: JointTransformer.Config) -> int:
    """Operations of the joint transformer's forward pass for one clip, its text encoder included."""
    width, clip = config.width, config.clip
    (video, audio), text = config.token_counts, config.text.length
    tokens = video + audio
    levels = clip.latent_frames + 1  # each latent frame has a noise level of its own, the sound has one

    inner = config.local_width if config.local_depth else config.video_channels
    ends = 2 * (
        _linear(video, inner * config.patch**2, width)
        + _linear(audio, config.audio_channels * config.audio_patch, width)
    )
    if config.local_depth:
        latents = video * config.patch**2
        kernels = 3 * 3 + 3  # over space, then over time
        block = kernels * _linear(latents, inner, inner) + _linear(clip.latent_frames, width, 2 * inner)
        ends += 2 * (_linear(latents, config.video_channels, inner) + config.local_depth * block)
    conditioning = _linear(levels, _LEVEL_FEATURES + width, width) + _linear(levels, width, 2 * width)
    if config.pooled_text:
        conditioning += 2 * _linear(1, width, width)

    modulation = _linear(levels, width, 6 * width)
    joint = _linear(tokens, width, 4 * width) + _attention(tokens, tokens, width)
    reading = _linear(tokens + text, width, 2 * width) + _attention(tokens, text, width)
    feed_forward = 2 * _linear(tokens, width, config.expand * width)
    blocks = config.depth * (modulation + joint + reading + feed_forward)
    return ends + conditioning + blocks + text_flops(config.text, width)


def text_flops(config: TextEncoder.Config, width: int) -> int:
    """Operations of the text encoder for one caption; its feed-forward is two token widths wide.

    A frozen encoder whose features it reads is not counted: its features are kept beside the latents.
    """
    length = config.length
    reading = _linear(length, config.feature_width, width)
    joint = _linear(length, width, 4 * width) + _attention(length, length, width)
    return reading + config.depth * (joint + 2 * _linear(length, width, 2 * width))


def layer_flops(model: nn.Module, forward: Callable[[], object]) -> int:
    """Operations of `model`'s linear and convolutional layers while `forward` runs.

    For each value that it puts out, a layer multiplies and adds once for each weight that leads there. That
    is all that the autoencoders and the upsampler do, which have no attention. On the meta device nothing
    is computed, and the count is the same.
    """
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += 2 * output.numel() * weight[0].numel()

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, Convolution)
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _linear(positions: int, inputs: int, outputs: int) -> int:
    return 2 * positions * inputs * outputs


def _attention(queries: int, keys: int, width: int) -> int:
    """Scores, and the sums of values that they weight, over all heads."""
    return 2 * _linear(queries, width, keys)
