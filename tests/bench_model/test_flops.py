"""FLOP counts against PyTorch's own counter on the real modules, and against a count by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from veo_core.data.spec import ClipSpec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.flops import layer_flops, text_flops, training_flops, transformer_flops
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer, Modality
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE

VOCABULARY = Vocabulary(words=("a", "red", "circle"))
CONFIGS = [
    JointTransformer.Config(clip=ClipSpec(frames=9, height=32, width=32), width=32, depth=2, heads=2),
    JointTransformer.Config(
        clip=ClipSpec(frames=9, height=64, width=32),
        text=TextEncoder.Config(vocabulary=VOCABULARY, length=7, depth=2),
        video_channels=8,
        audio_channels=4,
        width=48,
        depth=3,
        heads=3,
        expand=2,
        pooled_text=False,
        audio_patch=5,
    ),
]


def counted(model: JointTransformer, batch: int, *, backward: bool = False) -> int:
    config = model.config
    video = torch.randn(batch, *config.video_shape, requires_grad=backward)
    audio = torch.randn(batch, *config.audio_shape, requires_grad=backward)
    levels = torch.full((batch, config.clip.latent_frames), 0.5)
    tokens = config.text.vocabulary.tokens(["a red circle"] * batch, config.text.length)
    with FlopCounterMode(display=False) as counter:
        outputs = model(Modality(video, levels), Modality(audio, levels[:, :1]), tokens)
        if backward:
            (outputs[0].sum() + outputs[1].sum()).backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "odd"])
def test_transformer_flops_are_those_that_pytorch_counts_for_one_more_clip(config):
    model = JointTransformer(config)
    assert transformer_flops(config) == counted(model, 3) - counted(model, 2)


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "odd"])
def test_training_flops_are_those_of_forward_and_backward(config):
    # All but the gradients of what needs none: the sines and cosines of noise levels, the words.
    model = JointTransformer(config)
    found = counted(model, 3, backward=True) - counted(model, 2, backward=True)
    assert found == pytest.approx(training_flops(transformer_flops(config)), rel=0.01)
    assert found <= training_flops(transformer_flops(config))


def test_transformer_flops_by_hand():
    clip = ClipSpec(frames=5, fps=6.25, height=16, width=16)  # 0.64 s: 2 latent frames, 16 sound latents
    config = JointTransformer.Config(
        clip=clip,
        text=TextEncoder.Config(length=4, depth=0),
        width=16,
        depth=1,
        heads=2,
        local_width=8,
        local_depth=1,
        pooled_text=False,
    )
    # 8 picture latents in 2 tokens of 32 channels, 16 sound tokens of 16 channels, 3 noise levels, 4 words.
    products = [
        2 * (2 * 32 * 16 + 16 * 16 * 16),  # in and out
        2 * (8 * 16 * 8),  # latents to local features and back
        2 * (8 * (9 + 3) * 8 * 8 + 2 * 16 * 16),  # convolutions on either side with their modulation
        3 * (64 * 16 + 16 * 16),  # noise levels to vectors
        3 * 16 * 32,  # modulation of the output
        3 * 16 * 96,  # modulation of the block
        18 * 16 * 48 + 18 * 16 * 16,  # queries, keys, values; output
        2 * 18 * 18 * 16,  # attention
        18 * 16 * 16 + 4 * 16 * 32 + 18 * 16 * 16,  # query of the text, its keys and values, output
        2 * 18 * 4 * 16,  # attention to the text
        2 * 18 * 16 * 64,  # feed-forward
    ]
    assert transformer_flops(config) == 2 * sum(products) == 229_632


def test_text_encoder_by_hand():
    config = TextEncoder.Config(length=3, depth=2)
    block = 3 * 8 * 24 + 2 * 3 * 3 * 8 + 3 * 8 * 8 + 2 * 3 * 8 * 16
    assert text_flops(config, 8) == 2 * 2 * block


def test_convolutions_by_hand():
    model = nn.Sequential(nn.Conv3d(2, 3, (1, 3, 3), padding=(0, 1, 1)), nn.Conv3d(3, 4, 1))
    positions = 5 * 6 * 7
    by_hand = 2 * positions * (2 * 3 * 9 + 3 * 4)
    assert layer_flops(model, lambda: model(torch.zeros(1, 2, 5, 6, 7))) == by_hand


@pytest.mark.parametrize(
    ("model", "shapes"),
    [
        (VideoVAE(VideoVAE.Config(width=16, depth=1)), [(2, 3, 5, 16, 16), (2, 16, 2, 4, 4)]),
        (AudioVAE(AudioVAE.Config(width=16, depth=1)), [(2, 64, 8), (2, 16, 2)]),
        (Upsampler(Upsampler.Config(width=16, depth=2)), [(2, 16, 2, 4, 4), (2,), (2, 16, 2, 4, 4), (2,)]),
    ],
    ids=["video VAE", "audio VAE", "upsampler"],
)
def test_layer_flops_are_those_that_pytorch_counts(model, shapes):
    inputs = [torch.randn(shape) for shape in shapes]
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    assert layer_flops(model, lambda: model(*inputs)) == counter.get_total_flops() > 0
