import numpy as np
import pytest
import torch
from tiny_model import tiny_generator

from veo_core.diffusion.sampler import sample
from veo_core.errors import UsageError
from veo_core.generate.latent_mark import ENOUGH, Accuracy, Inversion, NoiseReader, mark_noise, measure
from veo_core.generate.request import Request
from veo_core.records.drawing import SamplerConfig
from veo_core.storage import Store
from veo_core.watermark.latent import noise_signs, read_noise

KEY = b"a secret of the tests"
BITS = np.random.default_rng(0).choice([-1, 1], 64)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    return tiny_generator(Store(str(tmp_path_factory.mktemp("store"))))


def unit_noise(seed, shape=(16, 5, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_marked_noise_is_as_normal_as_any_and_keeps_its_sizes():
    noise = torch.stack([unit_noise(seed) for seed in range(8)])
    marked = torch.stack([mark_noise(row, BITS, KEY, index) for index, row in enumerate(noise)])
    assert torch.equal(marked.abs(), noise.abs())
    assert abs(float(marked.mean())) < 0.02
    assert float(marked.std()) == pytest.approx(1.0, abs=0.02)
    assert abs(float((marked[0] * marked[1]).mean())) < 0.06


def test_signs_of_noise_carry_the_payload():
    marked = mark_noise(unit_noise(1), BITS, KEY)
    reading = read_noise(marked.flatten().double().numpy(), len(BITS), KEY)
    assert np.array_equal(np.sign(reading.soft), BITS)
    assert reading.p_value < 1e-9


@pytest.mark.parametrize("wrong", [0.1, 0.2, 0.3])
def test_payload_is_read_from_noise_of_which_a_share_of_signs_is_wrong(wrong):
    values = mark_noise(unit_noise(2), BITS, KEY).flatten().double().numpy()
    flipped = np.random.default_rng(3).random(len(values)) < wrong
    reading = read_noise(np.where(flipped, -values, values), len(BITS), KEY)
    assert (np.sign(reading.soft) == BITS).mean() >= 0.98
    assert reading.p_value < 1e-6


def test_unmarked_noise_and_other_keys_read_nothing():
    marked = mark_noise(unit_noise(4), BITS, KEY).flatten().double().numpy()
    p_values = [read_noise(unit_noise(k).flatten().double().numpy(), 64, KEY).p_value for k in range(40)]
    assert min(p_values) > 1e-4
    assert read_noise(marked, 64, b"another secret of tests").p_value > 1e-4
    assert read_noise(marked, 64, KEY, index=1).p_value > 1e-4


def test_every_bit_is_carried_about_as_often():
    count = 5_120
    one = noise_signs(count, np.ones(64, int), KEY)
    for bit in (0, 31, 63):
        other = np.ones(64, int)
        other[bit] = -1
        assert (noise_signs(count, other, KEY) != one).sum() in (59, 60, 61)


def latents_of(generator, requests, seeds):
    """The base model's latents of a draw, and the noise of it."""
    noise = generator.noise([torch.Generator().manual_seed(seed) for seed in seeds])
    drawn = sample(
        generator.base,
        generator.prompts([request.prompt for request in requests]),
        generator.prompts([""]),
        config=requests[0].sampler,
        video_noise=noise.video,
        audio_noise=noise.audio,
        objective=generator.objective,
    )
    return drawn, noise


def test_inversion_recovers_the_noise_and_more_so_with_refinements(generator):
    requests = [Request("a red circle moving left"), Request("a blue square moving right")]
    drawn, noise = latents_of(generator, requests, [1, 2])
    prompts = [request.prompt for request in requests]
    reader = NoiseReader(generator)
    errors = []
    for refinements in (0, 2, 8):
        video, audio = reader.noise(drawn, prompts, Inversion(refinements=refinements))
        errors.append(float((video - noise.video).square().mean() + (audio - noise.audio).square().mean()))
    assert errors[0] > 2.0 * errors[1] >= errors[2]
    assert errors[2] < 1e-3
    unknown, _ = reader.noise(drawn, prompts, Inversion(prompt=False, refinements=8))
    assert float((unknown - noise.video).square().mean()) > 2.0 * errors[2]


def test_measure_draws_marked_films_and_counts_what_is_read(generator):
    prompts = ["a red circle moving left", "a blue square moving right"]
    found = measure(generator, prompts, key=KEY, bits=16, seed=7)
    again = measure(generator, prompts, key=KEY, bits=16, seed=7)
    assert found == again
    assert found.films == 2
    assert 0.4 <= found.signs <= 1.0
    assert 0.0 <= found.bits <= 1.0
    assert found.enough == (found.bits >= ENOUGH)
    assert Accuracy(signs=0.8, bits=0.95, detected=1.0, films=4).enough


def test_given_noise_makes_the_film_of_a_seed(generator):
    request = Request("a red circle moving left", seed=5)
    seeded = [torch.Generator().manual_seed(5)]
    noise = generator.noise([torch.Generator().manual_seed(5)])
    (drawn,) = generator.draw([request], seeded)
    (given,) = generator.draw([request], seeded, noise=noise)
    assert np.array_equal(drawn.frames, given.frames)
    assert np.array_equal(drawn.audio, given.audio)


@pytest.mark.parametrize(
    "sampler", [SamplerConfig(solver="unipc"), SamplerConfig(clip=3.0), SamplerConfig(audio_shift=1.0)]
)
def test_samplers_that_are_not_inverted_are_refused(generator, sampler):
    with pytest.raises(UsageError, match="mark in noise"):
        NoiseReader(generator, sampler)


def test_film_of_another_size_is_refused(generator):
    (film,) = generator.draw([Request("a red circle")], [torch.Generator().manual_seed(0)])
    with pytest.raises(UsageError, match="the model makes"):
        NoiseReader(generator).latents([film._replace(frames=film.frames[:5])])
