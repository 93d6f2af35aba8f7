import math

import diffusers
import pytest
import torch
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift

from veo_core.diffusion.flow import noise_schedule
from veo_core.diffusion.levels import Levels, NoiseConfig, draw_levels, shifted, token_shift
from veo_core.errors import UsageError

PLAIN = {"first_frame": 0.0, "text_dropout": 0.0}


def draw(count: int = 4000, tokens: tuple[int, int] | None = None, **changes) -> Levels:
    config = NoiseConfig(**{**PLAIN, **changes})
    return draw_levels(config, count, 5, torch.Generator().manual_seed(0), tokens)


def share(mask: torch.Tensor) -> float:
    return float(mask.float().mean())


def test_schedule_falls_from_one_to_zero_and_a_shift_leans_to_noise():
    plain, leaning = noise_schedule(8, 1.0), noise_schedule(8, 3.0)
    assert plain == pytest.approx([1 - k / 8 for k in range(9)])
    assert leaning[0] == 1.0
    assert leaning[-1] == 0.0
    assert all(a > b for a, b in zip(leaning[1:-1], plain[1:-1], strict=True))


def test_shift_equals_that_of_diffusers():
    sigma = torch.linspace(1.0, 0.01, 50)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=sigma.tolist())
    torch.testing.assert_close(shifted(sigma, 3.0), scheduler.sigmas[:-1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("tokens", [130, 1024, 2000, 4096])
def test_token_shift_equals_the_dynamic_shift_of_diffusers_with_the_numbers_of_ltx(tokens):
    mu = calculate_shift(tokens, base_seq_len=1024, max_seq_len=4096, base_shift=0.95, max_shift=2.05)
    sigma = torch.linspace(1.0, 0.01, 50)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=sigma.tolist(), mu=mu)
    torch.testing.assert_close(shifted(sigma, token_shift(tokens)), scheduler.sigmas[:-1], atol=1e-6, rtol=0)


def test_token_shift_beyond_the_longest_sequence_stays():
    assert token_shift(100_000) == token_shift(4096) == pytest.approx(math.exp(2.05))


def test_levels_are_shared_clean_or_dropped_in_the_given_shares():
    levels = draw(shared=0.5, first_frame=0.3, text_dropout=0.1)
    assert levels.video.shape == (4000, 5)
    assert levels.audio.shape == (4000, 1)
    assert share(levels.video[:, 0] == 0) == pytest.approx(0.3, abs=0.03)
    assert (levels.video[:, 1:] > 0).all()
    assert torch.equal(levels.video[:, 1], levels.video[:, 4])
    assert share(levels.video[:, 1] == levels.audio[:, 0]) == pytest.approx(0.5, abs=0.03)
    assert share(levels.drop_text) == pytest.approx(0.1, abs=0.02)
    assert levels.video[:, 1].mean() > 0.55


def test_levels_have_the_logit_normal_distribution_that_the_shift_moves():
    levels = draw(20_000, spread=0.8, video_shift=3.0, audio_shift=1.0, shared=0.0)
    for sigma, shift in ((levels.video[:, 0], 3.0), (levels.audio[:, 0], 1.0)):
        logit = sigma.logit()
        assert float(logit.mean()) == pytest.approx(math.log(shift), abs=0.02)
        assert float(logit.std()) == pytest.approx(0.8, abs=0.02)


def test_levels_with_a_shift_of_auto_follow_each_modality_s_tokens():
    levels = draw(20_000, tokens=(4096, 130), video_shift="auto", audio_shift="auto", shared=0.0)
    assert float(levels.video[:, 0].logit().mean()) == pytest.approx(2.05, abs=0.03)
    assert float(levels.audio[:, 0].logit().mean()) == pytest.approx(math.log(token_shift(130)), abs=0.03)


def test_levels_when_a_share_is_uniform_then_it_has_no_shift():
    levels = draw(20_000, uniform=1.0, video_shift=9.0, shared=0.0).video[:, 0]
    assert (levels > 0).all()
    counts = torch.histc(levels, 10, 0.0, 1.0) / len(levels)
    assert counts.tolist() == pytest.approx([0.1] * 10, abs=0.01)


def test_levels_when_modalities_are_given_or_missing_then_in_shares_that_exclude_each_other():
    levels = draw(
        first_frame=0.5, video_given=0.1, audio_given=0.2, video_dropout=0.05, audio_dropout=0.15, shared=0.0
    )
    video_given, audio_given = (levels.video == 0).all(1), levels.audio[:, 0] == 0
    video_missing, audio_missing = (levels.video == 1).all(1), levels.audio[:, 0] == 1
    shares = [share(x) for x in (video_given, audio_given, video_missing, audio_missing)]
    assert shares == pytest.approx([0.1, 0.2, 0.05, 0.15], abs=0.02)
    together = sum(x.int() for x in (video_given, audio_given, video_missing, audio_missing))
    assert int(together.max()) == 1
    image = (levels.video[:, 0] == 0) & ~video_given
    assert share(image) == pytest.approx(0.5 * 0.85, abs=0.03)


def test_config_when_shares_of_modes_exceed_one_then_one_line_says_so():
    with pytest.raises(UsageError, match=r"noise: .*sum to 1\.2, which is above 1"):
        NoiseConfig.parse({"video_given": 0.6, "audio_dropout": 0.6}, where="noise")
    with pytest.raises(UsageError, match="video_shift"):
        NoiseConfig.parse({"video_shift": 0}, where="noise")
