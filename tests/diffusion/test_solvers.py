"""Our solvers against those of diffusers, and against distributions that are known in closed form."""

import diffusers
import numpy as np
import pytest
import torch
from known_model import KnownModel

from veo_core.diffusion.build import build_objective
from veo_core.diffusion.flow import euler, interpolate, noise_schedule
from veo_core.diffusion.sampler import sample
from veo_core.diffusion.solvers import FirstOrder, UniPC
from veo_core.models.objective import ObjectiveConfig
from veo_core.records.drawing import SamplerConfig

OBJECTIVES = {
    "flow": ObjectiveConfig(),
    "epsilon": ObjectiveConfig(prediction="epsilon"),
    "epsilon-cosine": ObjectiveConfig(prediction="epsilon", betas="cosine"),
    "v": ObjectiveConfig(prediction="v", betas="cosine"),
    "v-zero-snr": ObjectiveConfig(prediction="v", zero_terminal_snr=True),
}
TOKENS = torch.zeros(1, 1, dtype=torch.long)
UNGUIDED = {"video_guidance": 1.0, "audio_guidance": 1.0}


def known(name: str, means: tuple[float, ...] = (-1.0, 1.5), deviation: float = 0.4) -> KnownModel:
    return KnownModel(OBJECTIVES[name], build_objective(OBJECTIVES[name]), means, deviation)


def draw(model: KnownModel, noise: torch.Tensor, **changes) -> torch.Tensor:
    """Sound latents [1, 1, n] sampled from noise alike; picture latents take part."""
    generators = [torch.Generator().manual_seed(7)]
    config = SamplerConfig(**{**UNGUIDED, **changes})
    video, audio = sample(
        model,
        TOKENS,
        TOKENS,
        config=config,
        video_noise=noise.view(1, 1, 2, 1, -1),
        audio_noise=noise,
        objective=model.objective,
        generators=generators,
    )
    if config.solver != "ddpm":
        torch.testing.assert_close(video.flatten(), audio.flatten())
    return audio


def by_diffusers(model: KnownModel, scheduler, noise: torch.Tensor, timesteps: int = 1000) -> torch.Tensor:
    """The same draw in the loop of diffusers' documentation."""
    state, generator = noise, torch.Generator().manual_seed(7)
    for timestep in scheduler.timesteps:
        flow = model.config.prediction == "velocity"
        level = float(timestep if flow else timestep + 1) / timesteps
        prediction = model.predict(state, torch.full((1, 1, 1), level))
        extra = {"generator": generator} if isinstance(scheduler, diffusers.DDPMScheduler) else {}
        state = scheduler.step(prediction, timestep, state, **extra).prev_sample
    return state


def ddpm_settings(config: ObjectiveConfig) -> dict[str, object]:
    return {
        "num_train_timesteps": config.timesteps,
        "beta_schedule": {"linear": "linear", "cosine": "squaredcos_cap_v2"}[config.betas],
        "prediction_type": {"epsilon": "epsilon", "v": "v_prediction"}[config.prediction],
        "rescale_betas_zero_snr": config.zero_terminal_snr,
        "timestep_spacing": "trailing",
    }


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(3))


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


@pytest.mark.parametrize(("steps", "shift"), [(1, 1.0), (4, 3.0), (25, 2.0)])
def test_flow_sampler_equals_the_euler_scheduler_of_diffusers(noise, steps, shift):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=noise_schedule(steps, 1.0)[:-1])
    model = known("flow")
    assert scheduler.sigmas.tolist() == pytest.approx(noise_schedule(steps, shift), abs=1e-6)
    expected = by_diffusers(model, scheduler, noise)
    torch.testing.assert_close(draw(model, noise, steps=steps, shift=shift), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_unipc_on_flow_equals_that_of_diffusers(noise, steps):
    """From 0.98 on: nearer to 1, diffusers computes 1 - sigma in float32 from two equal digits."""
    schedule = [0.98 * level for level in noise_schedule(steps, 2.0)]
    scheduler = diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction")
    scheduler.set_timesteps(sigmas=np.array(schedule[:-1]))
    scheduler.timesteps = scheduler.sigmas[:-1] * 1000  # it rounds them to whole numbers
    model = known("flow")
    solver, state = UniPC([(1.0 - level, level) for level in schedule]), noise
    for index, level in enumerate(schedule[:-1]):
        prediction = model.predict(state, torch.full((1, 1, 1), level))
        state = solver.step(index, state, state - level * prediction)
    torch.testing.assert_close(state, by_diffusers(model, scheduler, noise), atol=1e-5, rtol=0)


def test_unipc_on_flow_from_pure_noise_is_near_that_of_diffusers(noise):
    scheduler = diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction")
    scheduler.set_timesteps(sigmas=np.array(noise_schedule(12, 2.0)[:-1]))
    scheduler.timesteps = scheduler.sigmas[:-1] * 1000
    model = known("flow")
    expected = by_diffusers(model, scheduler, noise)
    made = draw(model, noise, solver="unipc", steps=12, shift=2.0)
    torch.testing.assert_close(made, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["epsilon", "v"])
def test_unipc_on_ddpm_equals_that_of_diffusers(noise, name):
    scheduler = diffusers.UniPCMultistepScheduler(**ddpm_settings(OBJECTIVES[name]))
    scheduler.set_timesteps(10)
    model = known(name)
    expected = by_diffusers(model, scheduler, noise)
    torch.testing.assert_close(draw(model, noise, solver="unipc", steps=10), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["epsilon", "epsilon-cosine", "v", "v-zero-snr"])
def test_first_order_sampler_of_a_ddpm_model_equals_ddim_of_diffusers(noise, name):
    scheduler = diffusers.DDIMScheduler(clip_sample=False, **ddpm_settings(OBJECTIVES[name]))
    scheduler.set_timesteps(20)
    model = known(name)
    expected = by_diffusers(model, scheduler, noise)
    torch.testing.assert_close(draw(model, noise, steps=20), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("clip", [None, 1.2])
@pytest.mark.parametrize("name", ["epsilon", "v", "v-zero-snr"])
def test_ancestral_sampler_equals_ddpm_of_diffusers(noise, name, clip):
    """Picture and sound take their noise from the clip's generator, in turn."""
    clipping = {"clip_sample": clip is not None, "clip_sample_range": clip or 1.0}
    scheduler = diffusers.DDPMScheduler(**clipping, **ddpm_settings(OBJECTIVES[name]))
    scheduler.set_timesteps(10)
    model = known(name)
    state, generator = noise, torch.Generator().manual_seed(7)
    for timestep in scheduler.timesteps:
        torch.randn(1, 1, 2, 1, 32, generator=generator)
        prediction = model.predict(state, torch.full((1, 1, 1), float(timestep + 1) / 1000))
        state = scheduler.step(prediction, timestep, state, generator=generator).prev_sample
    made = draw(model, noise, solver="ddpm", steps=10, clip=clip)
    torch.testing.assert_close(made, state, atol=1e-4, rtol=0)


def integrated(model: KnownModel, noise: torch.Tensor, solver: str, steps: int) -> torch.Tensor:
    """The state at level 0.1 from that at 0.9, along the straight path or a cosine one, in float64."""
    levels = torch.linspace(0.9, 0.1, steps + 1, dtype=torch.float64)
    if model.config.prediction == "velocity":
        alphas, betas = 1.0 - levels, levels
    else:
        alphas, betas = (levels * torch.pi / 2).cos(), (levels * torch.pi / 2).sin()
    path = list(zip(alphas.tolist(), betas.tolist(), strict=True))
    solving, state = FirstOrder(path) if solver == "euler" else UniPC(path), noise.double()
    for index in range(steps):
        data = model.expected(state, alphas[index].view(1, 1, 1), betas[index].view(1, 1, 1))
        state = solving.step(index, state, data)
    return state


@pytest.mark.parametrize("name", ["flow", "v"])
def test_unipc_converges_quadratically_where_euler_converges_linearly(noise, name):
    model = known(name)
    exact = integrated(model, noise, "unipc", 3000)
    errors = {
        (solver, steps): float((integrated(model, noise, solver, steps) - exact).abs().mean())
        for solver in ("euler", "unipc")
        for steps in (20, 40, 80)
    }
    for steps in (20, 40):
        assert errors["euler", steps] / errors["euler", 2 * steps] == pytest.approx(2.0, abs=0.2)
        assert errors["unipc", steps] / errors["unipc", 2 * steps] == pytest.approx(4.0, abs=0.4)
    assert errors["unipc", 20] < errors["euler", 80] / 2


@pytest.mark.parametrize(
    ("name", "solver", "steps"),
    [
        *((name, solver, steps) for name in OBJECTIVES for solver, steps in (("euler", 200), ("unipc", 25))),
        *((name, "ddpm", 500) for name in OBJECTIVES if name != "flow"),
    ],
)
def test_samples_with_the_exact_prediction_have_the_mean_and_deviation_of_the_data(name, solver, steps):
    noise = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(1))
    samples = draw(known(name, means=(0.7,), deviation=0.4), noise, solver=solver, steps=steps)
    assert float(samples.mean()) == pytest.approx(0.7, abs=0.025)
    assert float(samples.std()) == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_unipc_in_few_steps_keeps_both_modes_of_the_data(name):
    noise = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(1))
    samples = draw(known(name, means=(-1.0, 1.0), deviation=0.1), noise, solver="unipc", steps=16)
    high = samples > 0
    assert float(high.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(samples[high].mean()) == pytest.approx(1.0, abs=0.05)
