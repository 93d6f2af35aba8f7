"""One entry for all modes: what is given stays, guidance, and no wait in the loop."""

import itertools

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

from veo_core.diffusion.build import build_objective
from veo_core.diffusion.flow import noise_schedule
from veo_core.diffusion.guidance import guided
from veo_core.diffusion.sampler import sample
from veo_core.errors import UsageError
from veo_core.models.objective import ObjectiveConfig
from veo_core.models.transformer import JointTransformer, Modality
from veo_core.records.drawing import SamplerConfig

UNGUIDED = {"video_guidance": 1.0, "audio_guidance": 1.0}


@pytest.fixture
def run(model, tokens, empty, draw):
    """Sample two clips with the small transformer; configuration by name, what is given by keyword."""

    def run(given=None, *, model=model, empty=empty, objective=None, **changes):
        video_noise, audio_noise = draw(5)
        config = SamplerConfig(**{"steps": 3, "shift": 2.0, "guidance_floor": 0.0, **changes})
        generators = [torch.Generator().manual_seed(k) for k in range(2)]
        return sample(
            model,
            tokens,
            empty,
            config=config,
            video_noise=video_noise,
            audio_noise=audio_noise,
            objective=objective,
            generators=generators,
            **(given or {}),
        )

    return run


@pytest.mark.parametrize("solver", ["euler", "unipc", "ddpm"])
def test_what_is_given_comes_out_bit_equal_in_every_mode(run, draw, solver):
    objective = build_objective(ObjectiveConfig(prediction="v"))
    video, audio = draw(9)
    for given in (
        {"first_frame": video[:, :, :1]},
        {"first_frame": video[:, :, :2]},
        {"video": video},
        {"audio": audio},
        {"first_frame": video[:, :, :1], "audio": audio},
        {},
    ):
        made = run(given, solver=solver, objective=objective)
        plain = run(solver=solver, objective=objective)
        known = 3 if "video" in given else given.get("first_frame", video[:, :, :0]).shape[2]
        assert torch.equal(made[0][:, :, :known], video[:, :, :known])
        assert torch.equal(made[1], audio) == ("audio" in given)
        assert made[0].shape == video.shape
        assert made[1].shape == audio.shape
        if given and known < 3:
            assert not torch.equal(made[0][:, :, known:], plain[0][:, :, known:])
        if given and "audio" not in given:
            assert not torch.equal(made[1], plain[1])


def test_model_is_told_which_latents_are_given_and_the_level_of_each_modality(model, run, draw):
    seen = []

    def watching(video, audio, tokens):
        seen.append((video.sigma, audio.sigma))
        return model(video, audio, tokens)

    run(
        {"first_frame": draw(9)[0][:, :, :1]}, model=watching, steps=4, shift=3.0, audio_shift=1.5, **UNGUIDED
    )
    assert [float(video[0, 1]) for video, _ in seen] == pytest.approx(noise_schedule(4, 3.0)[:-1])
    assert [float(audio[0, 0]) for _, audio in seen] == pytest.approx(noise_schedule(4, 1.5)[:-1])
    assert all((video[:, 0] == 0).all() for video, _ in seen)


def test_guidance_pushes_along_what_each_condition_adds_by_its_scale():
    c, text, modality = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.equal(guided(c, [(text, 1.0), (modality, 1.0)]), c)
    assert torch.equal(guided(c, [(text, 0.0)]), c - text)
    assert torch.equal(guided(c, [(text, 3.0)]), torch.tensor([[3.0, -2.0]]))
    assert torch.equal(guided(c, [(text, 3.0), (modality, 2.0)]), torch.tensor([[3.0, -1.0]]))


def test_rescaled_guidance_keeps_each_clip_s_deviation():
    c, other = torch.randn(2, 3, 4, 100).unbind(1)[:2]
    pushed = guided(c, [(c - other, 5.0)])
    kept = guided(c, [(c - other, 5.0)], rescale=1.0)
    half = guided(c, [(c - other, 5.0)], rescale=0.5)
    torch.testing.assert_close(kept.std((1, 2)), c.std((1, 2)))
    torch.testing.assert_close(half, 0.5 * (kept + pushed))
    torch.testing.assert_close(kept / pushed, (kept / pushed)[:, :1, :1].expand_as(kept))


def test_guidance_of_one_equals_a_draw_without_guidance(run, model, tokens, draw):
    video_noise, audio_noise = draw(5)
    state = (video_noise, audio_noise)
    for level, following in itertools.pairwise(noise_schedule(3, 2.0)):
        sigma = torch.full((2, 3), level), torch.full((2, 1), level)
        with torch.no_grad():
            slope = model(Modality(state[0], sigma[0]), Modality(state[1], sigma[1]), tokens)
        state = tuple(x + (following - level) * v for x, v in zip(state, slope, strict=True))
    made = run(rescale=0.7, **UNGUIDED)
    for ours, expected in zip(made, state, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_guidance_of_one_does_not_depend_on_the_empty_caption(run, empty, tokens):
    other = tokens[1:]
    assert torch.equal(run(**UNGUIDED)[0], run(empty=other, **UNGUIDED)[0])
    assert not torch.equal(run()[0], run(empty=other)[0])


def test_batched_guidance_equals_separate_passes(run, model, tokens, empty, draw):
    """Step by step with one call of the model for each pass, in the velocities' space."""
    (video, audio), (video_noise, audio_noise) = draw(5), draw(5)
    one, all_video, all_audio = 1.0, torch.ones(2, 3), torch.ones(2, 1)
    for level, following in itertools.pairwise(noise_schedule(3, 2.0)):
        sigma = level * all_video, level * all_audio
        seen, heard = Modality(video, sigma[0]), Modality(audio, sigma[1])
        with torch.no_grad():
            c = model(seen, heard, tokens)
            no_text = model(seen, heard, empty.expand(2, -1))
            no_audio = model(seen, Modality(audio_noise, all_audio), tokens)
            no_video = model(Modality(video_noise, all_video), heard, tokens)
        slopes = (
            c[0] + (5.0 - one) * (c[0] - no_text[0]) + (2.0 - one) * (c[0] - no_audio[0]),
            c[1] + (3.0 - one) * (c[1] - no_text[1]) + (1.5 - one) * (c[1] - no_video[1]),
        )
        video, audio = (x + (following - level) * v for x, v in zip((video, audio), slopes, strict=True))
    made = run(video_guidance=5.0, audio_guidance=3.0, video_modality=2.0, audio_modality=1.5)
    torch.testing.assert_close(made[0], video, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(made[1], audio, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("given", "changes", "passes"),
    [
        (None, UNGUIDED, 1),
        (None, {}, 2),
        (None, {"video_modality": 2.0}, 3),
        (None, {"video_modality": 2.0, "audio_modality": 2.0}, 4),
        ("audio", {"video_guidance": 1.0}, 1),
        ("audio", {"video_modality": 2.0, "audio_modality": 2.0}, 3),
        ("video", {"audio_guidance": 1.0, "video_modality": 2.0}, 1),
    ],
)
def test_each_step_is_one_batch_of_just_the_passes_that_guidance_needs(
    run, model, draw, given, changes, passes
):
    sizes = []

    def watching(video, audio, tokens):
        sizes.append((len(video.latents), len(audio.latents), len(tokens)))
        return model(video, audio, tokens)

    latents = dict(zip(("video", "audio"), draw(9), strict=True))
    run({given: latents[given]} if given else None, model=watching, **changes)
    assert sizes == [(2 * passes,) * 3] * 3


def test_rescaling_does_not_see_what_is_predicted_for_a_given_frame(model, run, draw):
    def disturbed(video, audio, tokens):
        slopes = model(video, audio, tokens)
        return torch.where(video.sigma[:, None, :, None, None] == 0, 100.0, slopes[0]), slopes[1]

    given = {"first_frame": draw(9)[0][:, :, :1]}
    assert torch.equal(run(given, rescale=0.7)[0], run(given, model=disturbed, rescale=0.7)[0])


class _Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: values read, and copies between devices."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        moved = name == "_to_copy" and result.device != args[0].device
        self.count += name == "_local_scalar_dense" or moved
        return result


@pytest.mark.parametrize("solver", ["euler", "unipc"])
@pytest.mark.parametrize("prediction", ["velocity", "v"])
def test_loop_on_another_device_never_waits_for_it(config, tokens, empty, solver, prediction):
    """On the meta device, which has no values to wait for: whatever reads one fails."""
    model = JointTransformer(config).to("meta")
    objective = build_objective(ObjectiveConfig(prediction=prediction))
    noise = (
        torch.empty(2, *config.video_shape, device="meta"),
        torch.empty(2, *config.audio_shape, device="meta"),
    )

    def waits(steps: int) -> int:
        with _Waits() as waiting:
            sample(
                model,
                tokens.to("meta"),
                empty.to("meta"),
                config=SamplerConfig(steps=steps, solver=solver, video_modality=2.0, rescale=0.5),
                video_noise=noise[0],
                audio_noise=noise[1],
                first_frame=noise[0][:, :, :1],
                objective=objective,
            )
        return waiting.count

    assert waits(2) == waits(4)


def test_compiled_model_compiles_once_for_all_steps(run, model):
    counter = CompileCounter()
    eager = run(steps=4)
    model.compile(fullgraph=True, dynamic=False, backend=counter)
    compiled = run(steps=4)
    assert counter.frame_count == 1
    torch.testing.assert_close(compiled[0], eager[0])


@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_draw_in_bfloat16_keeps_float32_states_near_the_exact_ones(run, draw, solver):
    given = {"first_frame": draw(9)[0][:, :, :1].bfloat16()}
    exact = run(given, solver=solver, **UNGUIDED)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = run(given, solver=solver, **UNGUIDED)
    for ours, expected in zip(rough, exact, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, expected, atol=0.05, rtol=0.05)


def test_ancestral_noise_of_a_clip_depends_on_its_own_generator_alone(model, tokens, empty, draw):
    video_noise, audio_noise = draw(5)
    objective = build_objective(ObjectiveConfig(prediction="v"))

    def clip(part: slice, seeds: list[int]) -> torch.Tensor:
        return sample(
            model,
            tokens[part],
            empty,
            config=SamplerConfig(steps=3, solver="ddpm"),
            video_noise=video_noise[part],
            audio_noise=audio_noise[part],
            objective=objective,
            generators=[torch.Generator().manual_seed(seed) for seed in seeds],
        )[0]

    both = clip(slice(0, 2), [1, 2])
    torch.testing.assert_close(clip(slice(1, 2), [2])[0], both[1])
    assert not torch.allclose(clip(slice(1, 2), [3])[0], both[1])


def test_sample_when_arguments_do_not_fit_then_an_error_says_so(run, model, tokens, empty, draw):
    video, audio = draw(9)
    with pytest.raises(ValueError, match="not both"):
        run({"video": video, "first_frame": video[:, :, :1]})
    with pytest.raises(ValueError, match=r"video latents .* do not fit"):
        run({"video": video[:, :, :2]})
    with pytest.raises(UsageError, match=r"sampler.solver: ddpm .*use euler or unipc"):
        run(solver="ddpm")
    with pytest.raises(ValueError, match="generator"):
        sample(
            model,
            tokens,
            empty,
            config=SamplerConfig(solver="ddpm"),
            video_noise=video,
            audio_noise=audio,
            objective=build_objective(ObjectiveConfig(prediction="v")),
        )


def test_below_its_floor_guidance_takes_no_pass(run, model):
    """Half of the steps of this schedule lie below the floor: they see the captions alone."""
    sizes = []

    def counting(video, audio, tokens):
        sizes.append(len(tokens))
        return model(video, audio, tokens)

    levels = noise_schedule(6, 2.0)[:-1]
    floor = 0.7
    made = run(model=counting, steps=6, guidance_floor=floor)
    assert sizes == [4 if level >= floor else 2 for level in levels]
    assert {2, 4} == set(sizes)
    assert not torch.equal(made[0], run(steps=6)[0])
    assert torch.equal(run(steps=6, guidance_floor=1.0, **UNGUIDED)[0], run(steps=6, **UNGUIDED)[0])


def test_guidance_measured_at_every_second_step_is_added_at_the_next_one_too(tokens, draw):
    """A model whose data is what its caption says, at any noise: guidance adds the same at every step."""
    sizes = []
    said = torch.tensor([0.5, -1.0, 0.25])

    def knowing(video, audio, ids):
        sizes.append(len(ids))
        data = said[(ids != 0).sum(1) % len(said)]
        noisy = [(one.latents, one.sigma.max()) for one in (video, audio)]
        return tuple((x - data.view(-1, *[1] * (x.dim() - 1))) / sigma for x, sigma in noisy)

    assert len(set(((tokens != 0).sum(1) % len(said)).tolist())) == 2
    video, audio = draw(5)

    def drawn(**changes):
        config = SamplerConfig(steps=5, guidance_floor=0.0, video_guidance=3.0, audio_guidance=2.0, **changes)
        empty = torch.zeros_like(tokens[:1])
        return sample(knowing, tokens, empty, config=config, video_noise=video, audio_noise=audio)

    always = drawn()
    sizes.clear()
    for ours, expected in zip(drawn(guidance_every=2), always, strict=True):
        torch.testing.assert_close(ours, expected)
    assert sizes == [4, 2, 4, 2, 4]


def test_guidance_measured_seldom_differs_where_it_changes(run):
    always, seldom = run(steps=4), run(steps=4, guidance_every=2)
    assert not torch.equal(always[0], seldom[0])
    assert torch.equal(run(steps=4, guidance_every=2, **UNGUIDED)[0], run(steps=4, **UNGUIDED)[0])
