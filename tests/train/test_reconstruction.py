import math

import pytest
import torch
from torch.nn import functional as F

from veo_core.train.measure import latent_spread
from veo_core.train.reconstruction import motion_weight, multiscale_loss
from veo_core.train.video_vae import VideoVAELearner, VideoVAETraining


def test_loss_of_one_scale_is_l1_and_twice_l2():
    error = torch.tensor([0.5, -1.0, 0.0, 1.5]).view(1, 1, 4)
    assert float(multiscale_loss(error, [(1,)])) == pytest.approx(3.0 / 4 + 2 * 3.5 / 4)


def test_errors_that_cancel_within_a_window_weigh_at_the_fine_scale_only():
    flicker = torch.tensor([1.0, -1.0]).repeat(4).view(1, 1, 8)
    assert float(multiscale_loss(flicker, [(1,), (4,)])) == float(multiscale_loss(flicker, [(1,)]))
    shift = flicker.abs()
    assert float(multiscale_loss(shift, [(1,), (4,)])) == 2 * float(multiscale_loss(shift, [(1,)]))


def test_loss_of_pictures_averages_over_squares_and_not_over_time():
    error = torch.zeros(1, 3, 2, 4, 4)
    error[:, :, 0, :2, :2] = 1.0
    error[:, :, 1, :2, :2] = -1.0
    one, both = (float(multiscale_loss(error, windows)) for windows in ([(1, 1, 1)], [(1, 1, 1), (1, 2, 2)]))
    assert one == pytest.approx(3.0 / 4)
    assert both == pytest.approx(2 * one)


def test_weighted_loss_counts_where_the_weight_is():
    error = torch.ones(1, 3, 1, 2, 4)
    error[..., 2:] = 0.0
    weight = torch.zeros(1, 1, 1, 2, 4)
    weight[..., 2:] = 2.0
    assert float(multiscale_loss(error, [(1, 1, 1), (1, 2, 2)], weight)) == 0.0
    assert float(multiscale_loss(error, [(1, 1, 1), (1, 2, 2)], weight.flip(-1))) == pytest.approx(2 * 3.0)


def _crossing(side: int) -> torch.Tensor:
    """A red square of that many pixels on its way to the right [1, 3, 8, 16, 16]."""
    video = torch.full((1, 3, 8, 16, 16), -0.8)
    for frame in range(8):
        video[:, 0, frame, 4 : 4 + side, frame : frame + side] = 0.8
    return video


def test_motion_weight_is_one_on_average_and_greater_on_what_moves_and_its_outline():
    weight = motion_weight(_crossing(4), 0.7)
    assert weight.shape == (1, 1, 8, 16, 16)
    assert float(weight.mean()) == pytest.approx(1.0)
    within, outline, still = (float(weight[0, 0, 0, 5, x]) for x in (2, 4, 14))
    assert min(within, outline) > 5 * still
    assert still == pytest.approx(0.3, abs=0.02)


def test_small_things_weigh_as_much_as_large_ones():
    video = torch.cat([_crossing(2), _crossing(6)])
    weight = motion_weight(video, 0.7)
    assert weight.mean((1, 2, 3, 4)).tolist() == pytest.approx([1.0, 1.0])
    path = F.max_pool3d((video > -0.8).float(), (8, 3, 3), 1, (0, 1, 1)).amax(1, keepdim=True)
    moving = ((weight - 0.3) * path).mean((1, 2, 3, 4))
    assert moving.tolist() == pytest.approx([0.7, 0.7], abs=0.02)
    assert float(weight[0, 0, 0, 4, 0]) > 1.5 * float(weight[1, 0, 0, 4, 0])


def test_weight_of_a_clip_does_not_depend_on_those_beside_it():
    alone, together = (
        motion_weight(_crossing(2), 0.7),
        motion_weight(torch.cat([_crossing(2), _crossing(6)]), 0.7),
    )
    torch.testing.assert_close(together[:1], alone)


def test_every_pixel_of_a_still_clip_counts_alike():
    weight = motion_weight(torch.rand(1, 3, 1, 16, 16).expand(1, 3, 8, 16, 16), 0.7)
    torch.testing.assert_close(weight, torch.ones_like(weight), atol=1e-3, rtol=0)


def test_spread_of_latents_names_the_channels_that_are_off():
    latents = torch.randn(400, 4, 5, 4) * torch.tensor([1.0, 1.0, 0.5, 2.0]).view(4, 1, 1)
    spread = latent_spread(latents)
    assert spread["latent_std_lowest"] == pytest.approx(0.5, rel=0.05)
    assert spread["latent_std_highest"] == pytest.approx(2.0, rel=0.05)
    assert spread["latent_std"] == pytest.approx(math.sqrt(6.25 / 4), rel=0.05)


def _texture_error(weight: float) -> float:
    """How far the contrast of rebuilt texture is from the true one's, after a short training.

    The texture is noise, of which sixteen values a cell can say little: averages of it are grey.
    """
    torch.manual_seed(0)
    config = VideoVAETraining.model_validate(
        {"model": {"width": 16, "depth": 1}, "adversarial": {"weight": weight, "width": 16}}
    )
    learner = VideoVAELearner(config)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=3e-3, betas=(0.5, 0.99))
    generator = torch.Generator().manual_seed(1)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        video = torch.randn(8, 3, 1, 16, 16, generator=generator).clamp(-2.0, 2.0) / 2
        return video, torch.randn(8, 16, 1, 4, 4, generator=generator)

    for _ in range(150):
        learner(*draw())["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    video, noise = draw()
    with torch.no_grad():
        rebuilt, _ = learner.autoencoder(video, noise)
    fine = [(x - F.avg_pool3d(x, (1, 3, 3), 1, (0, 1, 1))).std() for x in (rebuilt, video)]
    return abs(float(fine[0] / fine[1]) - 1.0)


def test_discriminator_lowers_the_error_of_fine_texture():
    without, against = _texture_error(0.0), _texture_error(0.3)
    assert without > 0.4
    assert against < 0.6 * without
