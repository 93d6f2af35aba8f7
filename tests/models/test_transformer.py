import pytest
import torch

from veo_core.data.spec import ClipSpec
from veo_core.models.layers import attention
from veo_core.models.positions import audio_positions, rotate, rotation, video_positions
from veo_core.models.projectors import AudioProjector
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer, Modality

VOCABULARY = Vocabulary.from_captions(["a red circle moving left", "a blue cross moving up"])
CONFIG = JointTransformer.Config(
    clip=ClipSpec(frames=9, height=32, width=32),
    text=TextEncoder.Config(vocabulary=VOCABULARY, length=8),
    width=32,
    depth=2,
    heads=2,
)


def awake() -> JointTransformer:
    torch.manual_seed(0)
    model = JointTransformer(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def inputs(batch: int = 2) -> tuple[Modality, Modality, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(batch, *CONFIG.video_shape, generator=generator)
    audio = torch.randn(batch, *CONFIG.audio_shape, generator=generator)
    return (
        Modality(video, torch.full((batch, 3), 0.5)),
        Modality(audio, torch.full((batch, 1), 0.5)),
        VOCABULARY.tokens(["a red circle moving left"] * batch, 8),
    )


def test_velocities_have_the_shapes_of_the_latents_and_start_at_zero():
    torch.manual_seed(0)
    video, audio, tokens = inputs()
    velocities = JointTransformer(CONFIG)(video, audio, tokens)
    assert velocities[0].shape == video.latents.shape == (2, 16, 3, 4, 4)
    assert velocities[1].shape == audio.latents.shape == (2, 16, 25)
    assert velocities[0].abs().max() == velocities[1].abs().max() == 0.0


def test_clips_of_a_batch_do_not_see_each_other():
    model = awake()
    video, audio, tokens = inputs()
    alone = model(
        Modality(video.latents[:1], video.sigma[:1]), Modality(audio.latents[:1], audio.sigma[:1]), tokens[:1]
    )
    together = model(video, audio, tokens)
    for both, one in zip(together, alone, strict=True):  # other batch sizes add in another order
        torch.testing.assert_close(both[:1], one, rtol=1e-4, atol=1e-4)


def test_padding_of_the_caption_does_not_leak():
    model = awake()
    before = model(*inputs())
    with torch.no_grad():
        model.text.words.weight[0] += 3.0
    torch.testing.assert_close(model(*inputs()), before)


@pytest.mark.parametrize("source", [0, 1])
def test_each_modality_and_the_caption_reach_both_velocities(source):
    model = awake()
    video, audio, tokens = inputs()
    before = model(video, audio, tokens)
    changed = [video, audio]
    changed[source] = Modality(changed[source].latents + 1.0, changed[source].sigma)
    for after in (model(*changed, tokens), model(video, audio, VOCABULARY.tokens(["blue"] * 2, 8))):
        assert all((a - b).abs().max() > 1e-4 for a, b in zip(after, before, strict=True))


def test_level_of_each_latent_frame_is_told_apart():
    model = awake()
    video, audio, tokens = inputs()
    levels = video.sigma.clone()
    levels[:, 0] = 0.0
    assert (
        model(Modality(video.latents, levels), audio, tokens)[0] - model(video, audio, tokens)[0]
    ).abs().max() > 1e-4


def test_sound_tokens_of_several_latents_keep_their_order_and_lie_at_their_middle():
    projector = AudioProjector(channels=4, patch=3, width=12)
    for linear in (projector.tokens_in, projector.tokens_out.project):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    torch.manual_seed(0)
    latents = torch.randn(2, 4, 9)
    found = projector.write(projector.read(latents), torch.zeros(2, 1, 12))
    for at in range(0, 9, 3):  # the tokens are normalised on their way out
        piece = latents[:, :, at : at + 3]
        expected = torch.nn.functional.layer_norm(piece, piece.shape[1:])
        torch.testing.assert_close(found[:, :, at : at + 3], expected)

    config = JointTransformer.Config.model_validate({**CONFIG.model_dump(), "audio_patch": 5})
    assert config.token_counts == (12, 5)
    times = JointTransformer(config).grids[0].places[12:, 0]
    torch.testing.assert_close(times, torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))


def test_config_when_sound_is_no_multiple_of_its_patch_then_it_is_refused():
    with pytest.raises(ValueError, match="25 sound latents are no multiple of audio_patch 2"):
        JointTransformer.Config.model_validate({**CONFIG.model_dump(), "audio_patch": 2})
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        JointTransformer.Config.model_validate({**CONFIG.model_dump(), "audio_patch": 0})


def test_equal_times_have_equal_phases_in_picture_and_sound():
    picture = rotation(video_positions([0.5, 1.0], 2, 2), 32)
    sound = rotation(audio_positions([0.5, 1.0]), 32)
    time_pairs = 32 // 4
    for a, b in zip(picture, sound, strict=True):
        torch.testing.assert_close(a[0, :time_pairs], b[0, :time_pairs])
        torch.testing.assert_close(a[-1, :time_pairs], b[1, :time_pairs])


def test_rotation_makes_products_depend_on_the_distance_in_time_alone():
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 1, 32), torch.randn(1, 1, 1, 32)

    def product(query_time: float, key_time: float) -> float:
        turns = [rotation(audio_positions([time]), 32) for time in (query_time, key_time)]
        return float((rotate(q, *turns[0]) * rotate(k, *turns[1])).sum())

    assert product(0.3, 0.1) == pytest.approx(product(1.7, 1.5), abs=1e-4)
    assert product(0.3, 0.1) != pytest.approx(product(0.3, 0.3), abs=1e-2)


def test_no_rotation_rate_is_whole_circles_between_latent_frames():
    spec = ClipSpec()
    cosine, _ = rotation(video_positions(spec.latent_seconds(), 1, 1), 32)
    step = spec.latent_seconds()[2] - spec.latent_seconds()[1]
    rates = torch.logspace(torch.tensor(0.5).log10(), torch.tensor(40.0).log10(), 8)
    circles = rates * step / (2 * torch.pi)
    assert cosine.shape == (5, 16)
    assert (circles - circles.round()).abs()[circles > 0.5].min() > 0.05


def test_attention_by_products_equals_the_fused_kernel():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 8) for _ in range(3))
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])[:, None, None, :]
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(attention(q, k, v, mask), expected)


def test_config_when_heads_do_not_divide_then_it_is_refused():
    with pytest.raises(ValueError, match="multiple of 8"):
        JointTransformer.Config(width=36, heads=3)
