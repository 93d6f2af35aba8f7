"""Losses: what they regress, where they count, against diffusers' tables."""

import dataclasses
import itertools

import diffusers
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from veo_core.diffusion.build import build_objective
from veo_core.diffusion.flow import FlowMatching, interpolate
from veo_core.diffusion.objective import Batch, LossConfig, counted, denoising_losses, motion_weights
from veo_core.errors import UsageError
from veo_core.models.objective import ObjectiveConfig
from veo_core.models.transformer import Modality

DDPM = [
    {"prediction": prediction, "betas": betas, "zero_terminal_snr": zero}
    for prediction in ("epsilon", "v")
    for betas in ("linear", "cosine")
    for zero in (False, True)
    if not (prediction == "epsilon" and zero)
]


def diffusers_table(config: ObjectiveConfig) -> diffusers.DDPMScheduler:
    return diffusers.DDPMScheduler(
        beta_schedule={"linear": "linear", "cosine": "squaredcos_cap_v2"}[config.betas],
        rescale_betas_zero_snr=config.zero_terminal_snr,
    )


@pytest.fixture
def batch(draw, tokens) -> Batch:
    (video, audio), (video_noise, audio_noise) = draw(1), draw(2)
    return Batch(
        video=video,
        audio=audio,
        video_noise=video_noise,
        audio_noise=audio_noise,
        sigma_video=torch.tensor([[0.4] * 3, [0.0, 0.9, 0.9]]),
        sigma_audio=torch.tensor([[0.4], [0.2]]),
        tokens=tokens,
    )


def with_levels(batch: Batch, video: list[list[float]], audio: list[list[float]]) -> Batch:
    return dataclasses.replace(batch, sigma_video=torch.tensor(video), sigma_audio=torch.tensor(audio))


def test_losses_of_flow_matching_are_the_squared_velocity_errors_of_what_is_not_given(model, batch):
    level = batch.sigma_video[:, None, :, None, None]
    video, audio = model(
        Modality(interpolate(batch.video, batch.video_noise, level), batch.sigma_video),
        Modality(interpolate(batch.audio, batch.audio_noise, batch.sigma_audio[:, None]), batch.sigma_audio),
        batch.tokens,
    )
    errors = (video - (batch.video_noise - batch.video)).square().mean((1, 3, 4))
    expected_video = (errors[0].sum() + errors[1, 1:].sum()) / 5
    expected_audio = (audio - (batch.audio_noise - batch.audio)).square().mean()
    result = denoising_losses(FlowMatching(), model, batch)
    torch.testing.assert_close(result["video"], expected_video.detach())
    torch.testing.assert_close(result["audio"], expected_audio.detach())
    torch.testing.assert_close(result["loss"], expected_video + expected_audio)


@pytest.mark.parametrize("settings", DDPM)
def test_ddpm_losses_regress_the_target_of_diffusers_at_its_noisy_points(model, batch, settings):
    config = ObjectiveConfig(**settings)
    table = diffusers_table(config)
    timesteps = torch.tensor([1, 700])
    batch = with_levels(batch, ((timesteps + 1) / 1000)[:, None].repeat(1, 3).tolist(), [[1.0], [0.25]])
    sound_steps = torch.tensor([999, 249])
    video, audio = model(
        Modality(table.add_noise(batch.video, batch.video_noise, timesteps), batch.sigma_video),
        Modality(table.add_noise(batch.audio, batch.audio_noise, sound_steps), batch.sigma_audio),
        batch.tokens,
    )
    targets = batch.video_noise, batch.audio_noise
    if config.prediction == "v":
        targets = (
            table.get_velocity(batch.video, batch.video_noise, timesteps),
            table.get_velocity(batch.audio, batch.audio_noise, sound_steps),
        )
    result = denoising_losses(build_objective(config), model, batch)
    torch.testing.assert_close(result["video"], (video - targets[0]).square().mean().detach())
    torch.testing.assert_close(result["audio"], (audio - targets[1]).square().mean().detach())


@pytest.mark.parametrize("settings", DDPM)
def test_ddpm_trains_at_whole_timesteps_and_keeps_what_is_given_clean(settings):
    objective = build_objective(ObjectiveConfig(**settings))
    sigma = torch.cat([torch.tensor([0.0, 1e-7, 1.0]), torch.rand(1000)])
    levels = objective.trained(sigma)
    assert levels[0] == 0.0
    assert (levels[1:] > 0).all()
    torch.testing.assert_close(levels * 1000, (levels * 1000).round())
    assert torch.equal(objective.trained(levels), levels)
    assert ((levels - sigma).abs() <= 1e-3).all()
    every = torch.arange(1001) / 1000
    assert torch.equal(objective.trained(every), every)
    alpha, beta = objective.coefficients(every)
    assert (alpha[0], beta[0]) == (1.0, 0.0)
    torch.testing.assert_close(alpha[1:] ** 2, diffusers_table(objective.config).alphas_cumprod)


@pytest.mark.parametrize("timesteps", [1000, 999])
def test_ddpm_schedule_is_evenly_spaced_from_the_noisiest_level_to_data(timesteps):
    objective = build_objective(ObjectiveConfig(prediction="v", timesteps=timesteps))
    table = diffusers.DDPMScheduler(timesteps, timestep_spacing="trailing")
    for steps in (1, 4, 20, 50, timesteps):
        table.set_timesteps(steps)
        expected = [*((table.timesteps + 1) / timesteps).tolist(), 0.0]
        exact = timesteps % steps == 0
        assert objective.schedule(steps, 1.0) == pytest.approx(
            expected, abs=1e-6 if exact else 1.1 / timesteps
        )
    for steps in range(1, timesteps + 1):
        schedule = objective.schedule(steps, 1.0)
        assert len(schedule) == steps + 1
        assert all(high > low for high, low in itertools.pairwise(schedule))
    with pytest.raises(UsageError, match=rf"sampler.steps: {timesteps + 1} steps"):
        objective.schedule(timesteps + 1, 1.0)


def test_terminal_level_without_signal_is_noise_alone():
    objective = build_objective(ObjectiveConfig(prediction="v", zero_terminal_snr=True))
    data, noise = torch.randn(2, 50)
    torch.testing.assert_close(objective.noisy(data, noise, torch.ones(1)), noise, atol=1e-6, rtol=0)


@pytest.mark.parametrize("settings", [{}, *DDPM])
def test_data_behind_a_perfect_prediction_is_the_data(settings):
    objective = build_objective(ObjectiveConfig(**settings))
    data, noise = torch.randn(2, 1000, dtype=torch.float64)
    for level in (0.05, 0.5, 0.9):
        sigma = torch.tensor([level])
        alpha, beta = (float(x) for x in objective.coefficients(sigma))
        point = objective.noisy(data, noise, sigma)
        found = objective.data(point, objective.target(data, noise, sigma), alpha, beta)
        torch.testing.assert_close(found, data, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"prediction": "epsilon"}, {"prediction": "v"}])
@pytest.mark.parametrize("given", ["video", "audio", "first_frame"])
def test_loss_when_something_is_given_then_its_target_does_not_leak(model, batch, settings, given):
    levels = {
        "video": ([[0.0] * 3] * 2, [[0.5], [0.8]]),
        "audio": ([[0.5] * 3] * 2, [[0.0], [0.0]]),
        "first_frame": ([[0.0, 0.5, 0.5]] * 2, [[0.5], [0.5]]),
    }
    batch = with_levels(batch, *levels[given])
    changed = {"video": batch.video_noise.clone(), "audio": batch.audio_noise.clone()}
    if given == "audio":
        changed["audio"] += 10.0
    else:
        changed["video"][:, :, : 3 if given == "video" else 1] += 10.0
    other = dataclasses.replace(batch, video_noise=changed["video"], audio_noise=changed["audio"])
    objective = build_objective(ObjectiveConfig(**settings))

    def gradient(of: Batch) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
        result = denoising_losses(objective, model, of)
        return result, torch.autograd.grad(result["loss"], list(model.parameters()), allow_unused=True)

    (first, slopes), (second, other_slopes) = gradient(batch), gradient(other)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(slopes, other_slopes, strict=True))
    if given in first:
        assert first[given] == 0.0


def test_loss_sums_the_modalities_by_their_weights(model, batch):
    plain = denoising_losses(FlowMatching(), model, batch)
    weighted = denoising_losses(FlowMatching(), model, batch, LossConfig(video_weight=0.5, audio_weight=3.0))
    torch.testing.assert_close(weighted["loss"], 0.5 * plain["video"] + 3.0 * plain["audio"])


def test_motion_weights_are_those_of_each_latent_by_hand():
    video = torch.zeros(2, 2, 4, 1, 2)
    video[1, :, 3, 0, 1] = 4.0  # 3 from the mean of its place, which is 1 from each other frame
    expected = torch.tensor([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 19.0]).view(4, 1, 2) / 4.0
    weights = motion_weights(video, 2.0)
    torch.testing.assert_close(weights[1], expected)
    assert torch.equal(weights[0], torch.ones(4, 1, 2))


def test_loss_with_motion_is_the_weighted_mean_of_the_picture_alone(model, batch):
    batch = with_levels(batch, [[0.4] * 3] * 2, [[0.4], [0.2]])
    level = batch.sigma_video[:, None, :, None, None]
    video, _ = model(
        Modality(interpolate(batch.video, batch.video_noise, level), batch.sigma_video),
        Modality(interpolate(batch.audio, batch.audio_noise, batch.sigma_audio[:, None]), batch.sigma_audio),
        batch.tokens,
    )
    errors = (video - (batch.video_noise - batch.video)).square()
    expected = (errors * motion_weights(batch.video, 3.0)[:, None]).mean()
    result = denoising_losses(FlowMatching(), model, batch, LossConfig(motion=3.0))
    torch.testing.assert_close(result["video"], expected.detach())
    plain = denoising_losses(FlowMatching(), model, batch)
    assert torch.equal(result["audio"], plain["audio"])
    assert not torch.isclose(result["video"], plain["video"])


def test_loss_of_all_clips_is_the_mean_of_equal_shares_that_bring_their_weights(model, batch):
    batch = with_levels(batch, [[0.4] * 3, [0.0, 0.0, 0.9]], [[0.0], [0.2]])
    config = LossConfig(motion=2.0)
    whole = denoising_losses(FlowMatching(), model, batch, config)
    weighted = dataclasses.replace(
        batch, video_weight=counted(batch.sigma_video), audio_weight=counted(batch.sigma_audio)
    )
    parts = [
        denoising_losses(
            FlowMatching(),
            model,
            Batch(**{name: value[clip : clip + 1] for name, value in vars(weighted).items()}),
            config,
        )
        for clip in range(2)
    ]
    for name, value in whole.items():
        torch.testing.assert_close(sum(part[name] for part in parts) / 2, value)


def test_ddpm_loss_with_its_model_compiles_to_one_graph(model, batch):
    objective, counter = build_objective(ObjectiveConfig(prediction="v")), CompileCounter()

    def loss(of: Batch) -> torch.Tensor:
        return denoising_losses(objective, model, of)["loss"]

    compiled = torch.compile(loss, fullgraph=True, dynamic=False, backend=counter)
    for _ in range(3):
        torch.testing.assert_close(compiled(batch), loss(batch))
    assert counter.frame_count == 1


def test_config_when_epsilon_is_to_have_no_terminal_signal_then_one_line_says_why():
    with pytest.raises(UsageError, match=r"objective: .*use prediction v"):
        ObjectiveConfig.parse({"prediction": "epsilon", "zero_terminal_snr": True}, where="objective")
