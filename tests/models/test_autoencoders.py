import pytest
import torch

from veo_core.errors import UsageError
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.posterior import LatentStatistics
from veo_core.models.video_vae import VideoVAE


def wake(model: torch.nn.Module) -> torch.nn.Module:
    """Give zero-initialised layers random weights, so that every path matters."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def video_vae() -> VideoVAE:
    return wake(VideoVAE(VideoVAE.Config(width=16, depth=2, latent_channels=4)))


@pytest.fixture(scope="module")
def audio_vae() -> AudioVAE:
    return wake(AudioVAE(AudioVAE.Config(mel_bins=8, width=16, latent_channels=4)))


def test_video_latents_have_the_shape_that_the_config_derives(video_vae):
    video = torch.randn(2, 3, 9, 16, 24)
    latents = video_vae.encode(video)
    assert latents.shape == (2, *video_vae.config.latent_shape(9, 16, 24)) == (2, 4, 3, 4, 6)
    assert video_vae.decode(latents).shape == video.shape


@pytest.mark.parametrize("shape", [(10, 16, 16), (9, 18, 16), (9, 16, 15)])
def test_latent_shape_when_a_length_does_not_fit_then_it_is_refused(video_vae, shape):
    with pytest.raises(UsageError, match="do not fit"):
        video_vae.config.latent_shape(*shape)


@pytest.mark.parametrize("frames", [1, 5, 9, 13])
def test_prefix_of_a_clip_has_a_prefix_of_its_latents(video_vae, frames):
    video = torch.randn(1, 3, 17, 16, 16)
    count = 1 + (frames - 1) // 4
    torch.testing.assert_close(video_vae.encode(video[:, :, :frames]), video_vae.encode(video)[:, :, :count])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_prefix_of_latents_decodes_to_a_prefix_of_the_clip(video_vae, count):
    latents = torch.randn(1, 4, 5, 4, 4)
    frames = 1 + 4 * (count - 1)
    torch.testing.assert_close(
        video_vae.decode(latents[:, :, :count]), video_vae.decode(latents)[:, :, :frames]
    )


def test_later_frames_change_later_latents(video_vae):
    video = torch.randn(1, 3, 9, 16, 16)
    changed = video.clone()
    changed[:, :, 5:] += 1.0
    difference = (video_vae.encode(changed) - video_vae.encode(video)).abs().amax((0, 1, 3, 4))
    assert difference[:2].max() < 1e-6 < difference[2]


def test_prefix_of_sound_has_a_prefix_of_its_latents(audio_vae):
    mel = torch.randn(1, 8, 40)
    latents = audio_vae.encode(mel)
    assert latents.shape == (1, 4, audio_vae.config.latent_length(40)) == (1, 4, 10)
    torch.testing.assert_close(audio_vae.encode(mel[:, :, :20]), latents[:, :, :5])
    torch.testing.assert_close(audio_vae.decode(latents[:, :, :5]), audio_vae.decode(latents)[:, :, :20])
    assert audio_vae.decode(latents).shape == mel.shape


def test_statistics_when_measured_then_latents_are_standard_and_restored_exactly():
    raw = torch.randn(64, 3, 5, 4, 4) * torch.tensor([0.1, 2.0, 30.0]).view(3, 1, 1, 1) + 7.0
    statistics = LatentStatistics(3)
    statistics.measure(raw)
    normal = statistics.normalise(raw)
    torch.testing.assert_close(normal.mean((0, 2, 3, 4)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(normal.std((0, 2, 3, 4)), torch.ones(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(statistics.restore(normal), raw)


def test_divergence_of_the_unit_gaussian_is_zero_and_grows_with_distance(video_vae):
    from veo_core.models.posterior import Posterior

    unit = Posterior(torch.zeros(1, 2), torch.zeros(1, 2))
    far = Posterior(torch.full((1, 2), 2.0), torch.zeros(1, 2))
    assert unit.kl() == 0.0
    assert far.kl() == pytest.approx(2.0)


def test_forward_when_noise_is_zero_then_it_rebuilds_the_mean(video_vae):
    video = torch.randn(1, 3, 5, 16, 16)
    rebuilt, kl = video_vae(video, torch.zeros(1, 4, 2, 4, 4))
    torch.testing.assert_close(rebuilt, video_vae.reconstruct(video_vae.posterior(video).mean))
    assert kl.shape == ()
