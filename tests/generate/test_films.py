"""Films of a small random model: what is given is kept, seeds decide, batches do not."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import CLIP, tiny_generator

from veo_core.errors import UsageError
from veo_core.generate.pipeline import Film, Generator
from veo_core.generate.request import Request
from veo_core.records.drawing import SamplerConfig
from veo_core.storage import Store

FEW = SamplerConfig(steps=2)
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (CLIP.frames, CLIP.height, CLIP.width, 3), dtype=np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, CLIP.samples).astype(np.float32)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return tiny_generator(Store(str(tmp_path_factory.mktemp("store"))))


def make(generator: Generator, *requests: Request, batch: int = 16) -> list[Film]:
    films = dict(generator.films([replace(request, sampler=FEW) for request in requests], batch=batch))
    return [films[number] for number in range(len(requests))]


def far(a: Film, b: Film) -> float:
    """Largest difference of two films' pictures in levels of 255."""
    return float(np.abs(a.frames.astype(int) - b.frames).max())


def test_clip_depends_on_its_prompt_and_seed_and_not_on_its_batch(generator):
    requests = [Request("a red circle moving left", seed=seed) for seed in range(5)]
    together, in_pairs = make(generator, *requests), make(generator, *requests, batch=2)
    for one, other in zip(together, in_pairs, strict=True):
        assert far(one, other) <= 1
        assert np.abs(one.audio - other.audio).mean() < 1e-3
    (alone,) = make(generator, requests[3])
    assert far(alone, together[3]) <= 1
    (other_prompt,) = make(generator, Request("a blue square", seed=3))
    assert far(alone, other_prompt) > 5
    assert far(together[0], together[1]) > 5


def test_clips_of_different_kinds_keep_their_numbers(generator):
    plain = Request("a red circle", seed=1)
    image, video = replace(plain, image=PICTURES[0]), replace(plain, video=PICTURES)
    other = Request("a blue square", seed=2)
    mixed = make(generator, video, plain, image, other)
    for film, request in zip(mixed, (video, plain, image, other), strict=True):
        (alone,) = make(generator, request)
        assert far(film, alone) <= 1


def test_image_is_the_first_picture_after_the_codec_and_shapes_the_others(generator):
    with_image, without = Request("a red circle", seed=1, image=PICTURES[0]), Request("a red circle", seed=1)
    film, plain = make(generator, with_image)[0], make(generator, without)[0]
    assert np.abs(film.frames[0].astype(int) - generator.rebuilt(PICTURES[:1])[0]).max() <= 1
    assert np.abs(film.frames[1:].astype(int) - plain.frames[1:]).max() > 5


def test_video_is_kept_and_shapes_the_sound(generator):
    request = Request("a red circle", seed=1, video=PICTURES)
    film, plain = make(generator, request)[0], make(generator, replace(request, video=None))[0]
    other = make(generator, replace(request, video=PICTURES[::-1].copy()))[0]
    assert np.array_equal(film.frames, PICTURES)
    assert np.abs(film.audio - plain.audio).max() > 0.01
    assert np.abs(film.audio - other.audio).max() > 0.01


def test_sound_is_kept_and_shapes_the_pictures(generator):
    request = Request("a red circle", seed=1, audio=SOUND)
    film, plain = make(generator, request)[0], make(generator, replace(request, audio=None))[0]
    assert np.array_equal(film.audio, SOUND)
    assert far(film, plain) > 1


def test_image_and_sound_are_given_together(generator):
    request = Request("a red circle", seed=1, image=PICTURES[0], audio=SOUND)
    (film,) = make(generator, request)
    assert np.array_equal(film.audio, SOUND)
    assert np.abs(film.frames[0].astype(int) - generator.rebuilt(PICTURES[:1])[0]).max() <= 1


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("a red circle " * 9), "has 27 tokens, the limit is 12; shorten it"),
        (Request("a", image=PICTURES[0, :8]), r"image has shape \[8, 32, 3\]"),
        (Request("a", video=PICTURES[:5]), r"video has shape \[5, 32, 32, 3\]"),
        (Request("a", audio=SOUND[:100]), r"sound has shape \[100\]"),
        (Request("a", video=PICTURES, audio=SOUND), "give no image and no sound with it"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(generator, request_, message):
    with pytest.raises(UsageError, match=message):
        make(generator, request_)
