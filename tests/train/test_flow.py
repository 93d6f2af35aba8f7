import pytest
import torch

from veo_core.data.spec import ClipSpec
from veo_core.diffusion.flow import Batch, NoiseConfig, draw_levels, flow_losses, interpolate, shifted
from veo_core.diffusion.guidance import guided
from veo_core.diffusion.sampler import SamplerConfig, euler, noise_schedule, sample
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer

VOCABULARY = Vocabulary.from_captions(["a red square"])
CONFIG = JointTransformer.Config(
    clip=ClipSpec(frames=9, height=32, width=32),
    text=TextEncoder.Config(vocabulary=VOCABULARY, length=4),
    width=32,
    depth=1,
    heads=2,
)


def model_with_weights() -> JointTransformer:
    torch.manual_seed(0)
    model = JointTransformer(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def noise(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return (
        torch.randn(count, *CONFIG.video_shape, generator=generator),
        torch.randn(count, *CONFIG.audio_shape, generator=generator),
    )


@pytest.mark.parametrize("steps", [1, 3, 16])
def test_euler_integrates_the_velocity_of_a_straight_path_exactly(steps):
    data, start = torch.randn(2, 3), torch.randn(2, 3)
    (end,) = euler(lambda state, sigma: (start - data,), (start,), noise_schedule(steps, 2.0))
    torch.testing.assert_close(end, data)


def test_euler_passes_the_point_and_its_level():
    levels = []

    def velocity(state, sigma):
        levels.append(sigma)
        torch.testing.assert_close(state[0], interpolate(torch.zeros(1), torch.ones(1), torch.tensor(sigma)))
        return (torch.ones(1),)

    euler(velocity, (torch.ones(1),), noise_schedule(4, 3.0))
    assert levels == noise_schedule(4, 3.0)[:-1]


def test_schedule_falls_from_one_to_zero_and_a_shift_leans_to_noise():
    plain, leaning = noise_schedule(8, 1.0), noise_schedule(8, 3.0)
    assert plain == pytest.approx([1 - k / 8 for k in range(9)])
    assert leaning[0] == 1.0
    assert leaning[-1] == 0.0
    assert all(a > b for a, b in zip(leaning[1:-1], plain[1:-1], strict=True))
    assert float(shifted(torch.tensor(0.5), 3.0)) == pytest.approx(0.75)


def test_guidance_is_linear_between_the_two_predictions():
    conditional, unconditional = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert torch.equal(guided(conditional, unconditional, 1.0), conditional)
    assert torch.equal(guided(conditional, unconditional, 0.0), unconditional)
    assert torch.equal(guided(conditional, unconditional, 3.0), torch.tensor([3.0, -2.0]))


def test_levels_are_shared_clean_or_dropped_in_the_given_shares():
    config = NoiseConfig(shared=0.5, first_frame=0.3, text_dropout=0.1)
    levels = draw_levels(config, 4000, 5, torch.Generator().manual_seed(0))
    assert levels.video.shape == (4000, 5)
    assert levels.audio.shape == (4000, 1)
    assert (levels.video[:, 0] == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (levels.video[:, 1:] > 0).all()
    assert torch.equal(levels.video[:, 1], levels.video[:, 4])
    assert (levels.video[:, 1] == levels.audio[:, 0]).float().mean() == pytest.approx(0.5, abs=0.03)
    assert levels.drop_text.float().mean() == pytest.approx(0.1, abs=0.02)
    assert levels.video[:, 1].mean() > 0.55


def test_loss_when_the_first_frame_is_given_then_its_error_does_not_count():
    model = model_with_weights()
    data, other = noise(), noise()
    levels = torch.full((2, 3), 0.5)
    levels[:, 0] = 0.0

    def video_loss(first_noise: float) -> float:
        video_noise = other[0].clone()
        video_noise[:, :, 0] += first_noise
        batch = Batch(
            *data, video_noise, other[1], levels, torch.full((2, 1), 0.5), VOCABULARY.tokens(["red"] * 2, 4)
        )
        return float(flow_losses(model, batch)["video"])

    assert video_loss(0.0) == video_loss(10.0)


def test_sample_when_a_first_frame_is_given_then_it_stays_as_it_is():
    video_noise, audio_noise = noise()
    first = torch.randn(2, 16, 1, 4, 4)
    tokens = VOCABULARY.tokens(["a red square"] * 2, 4)
    video, audio = sample(
        model_with_weights(),
        tokens,
        VOCABULARY.tokens([""], 4),
        config=SamplerConfig(steps=3),
        video_noise=video_noise,
        audio_noise=audio_noise,
        first_frame=first,
    )
    assert torch.equal(video[:, :, :1], first)
    assert video.shape == video_noise.shape
    assert audio.shape == audio_noise.shape
    assert not torch.allclose(video[:, :, 1:], video_noise[:, :, 1:])


def test_sample_when_guidance_is_one_then_the_empty_caption_does_not_matter():
    video_noise, audio_noise = noise()
    tokens = VOCABULARY.tokens(["a red square"] * 2, 4)

    def draw(empty: str, guidance: float) -> torch.Tensor:
        config = SamplerConfig(steps=2, video_guidance=guidance, audio_guidance=guidance)
        empty_tokens = VOCABULARY.tokens([empty], 4)
        model = model_with_weights()
        return sample(
            model, tokens, empty_tokens, config=config, video_noise=video_noise, audio_noise=audio_noise
        )[0]

    assert torch.equal(draw("", 1.0), draw("square", 1.0))
    assert not torch.equal(draw("", 3.0), draw("square", 3.0))
