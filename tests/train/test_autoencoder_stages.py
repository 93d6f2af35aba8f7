import json

import lpips
import pytest
import torch
from conftest import FIT, SPEC, context
from safetensors.torch import save_file
from torch.nn import functional as F

from veo_core.data.decoded import decoded_clips
from veo_core.data.spec import ClipSpec
from veo_core.errors import UsageError
from veo_core.models.files import load_stored
from veo_core.models.video_vae import VideoVAE
from veo_core.train import video_vae
from veo_core.train.video_vae import VideoVAELearner, VideoVAETraining, halved


@pytest.mark.thorough
def test_stage_with_a_discriminator_publishes_the_autoencoder_alone(store, dataset):
    config = VideoVAETraining.model_validate(
        {
            **FIT,
            "clip_spec": SPEC,
            "model": {"width": 16, "depth": 1},
            "adversarial": {"weight": 0.1, "width": 8},
        }
    )
    made = video_vae.run(dataset=dataset, config=config, context=context(store, "video_vae", "against"))
    rows = [json.loads(line) for line in store.get_bytes(made.files["history"]).decode().splitlines()]
    assert {"picture", "kl", "fooling", "telling"} <= set(rows[-1])
    model = load_stored(VideoVAE, made.files, store, where="video VAE")
    assert made.metrics["parameters"] == sum(p.numel() for p in model.parameters())


def test_stage_reports_the_spread_of_each_latent_channel(trained):
    for name in ("video_vae", "audio_vae"):
        metrics = trained[name].metrics
        assert 0 < metrics["latent_std_lowest"] < metrics["latent_std_highest"]


def test_latents_of_base_and_of_full_size_have_unit_variance_between_them(trained, dataset, store):
    model = load_stored(VideoVAE, trained["video_vae"].files, store, where="video VAE")
    train = decoded_clips(dataset, ClipSpec.model_validate(SPEC), context(store, "video_vae", "spread"))[
        "train"
    ]
    latents = [model.encode(clips[:].float() / 127.5 - 1.0) for clips in (train.base, train.full)]
    channels = [x.transpose(0, 1).flatten(1) for x in latents]
    means, squares = (torch.stack([(x**power).mean(1) for x in channels]).mean(0) for power in (1, 2))
    torch.testing.assert_close(means, torch.zeros(16), atol=0.02, rtol=0)
    torch.testing.assert_close(squares, torch.ones(16), atol=0.02, rtol=0)


def test_perceptual_loss_adds_its_weighted_distance_and_learns_nothing_itself(tmp_path):
    torch.manual_seed(0)
    weights = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).state_dict()
    path = tmp_path / "lpips.safetensors"
    save_file({name: value for name, value in weights.items() if "lins." not in name}, path)
    shape = {"width": 16, "depth": 1}
    plain = VideoVAELearner(VideoVAETraining.model_validate({"model": shape}))
    config = {"model": shape, "perceptual": {"path": str(path), "net": "alex", "weight": 0.5}}
    looking = VideoVAELearner(VideoVAETraining.model_validate(config))
    looking.autoencoder.load_state_dict(plain.autoencoder.state_dict())
    video, noise = torch.rand(1, 3, 1, 32, 32) * 2 - 1, torch.zeros(1, 16, 1, 8, 8)
    without, with_it = plain(video, noise), looking(video, noise)
    assert float(with_it["perceptual"]) != 0.0
    expected = without["loss"] + 0.5 * with_it["perceptual"]
    torch.testing.assert_close(with_it["loss"], expected)
    with_it["loss"].backward()
    learnt = {name for name, p in looking.named_parameters() if p.grad is not None}
    assert learnt == {f"autoencoder.{name}" for name, _ in looking.autoencoder.named_parameters()}


@pytest.mark.parametrize("size", [32, 20])  # of 8 and of 5 latents
def test_halved_latents_decode_to_the_halved_picture_where_that_is_trained(size):
    torch.manual_seed(0)
    video = F.interpolate(torch.randn(2, 3, 1, 3, 3), size=(5, size, size), mode="trilinear").tanh()
    small = halved(video)[..., : size // 8 * 4, : size // 8 * 4]

    def error(weight: float) -> float:
        torch.manual_seed(1)
        config = {"model": {"width": 16, "depth": 1}, "halving": weight, "motion": 0.0}
        learner = VideoVAELearner(VideoVAETraining.model_validate(config))
        optimiser = torch.optim.AdamW(learner.parameters(), lr=1e-2)
        for _ in range(60):
            optimiser.zero_grad()
            learner(video, torch.randn(2, 16, 2, size // 4, size // 4))["loss"].backward()
            optimiser.step()
        autoencoder = learner.autoencoder
        with torch.no_grad():
            rebuilt = autoencoder.reconstruct(halved(autoencoder.posterior(video).mean))
        return float((rebuilt - small).square().mean())

    assert error(1.0) < 0.5 * error(0.0)


def test_pictures_too_small_for_halving_are_refused_in_one_line(store, dataset):
    spec = {**SPEC, "height": 8, "width": 8}
    config = VideoVAETraining.model_validate({**FIT, "clip_spec": spec})
    with pytest.raises(UsageError, match=r"halving: pictures of 4x4 .*set halving to 0$"):
        video_vae.run(dataset=dataset, config=config, context=context(store, "video_vae", "tiny"))
