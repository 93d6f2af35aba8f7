"""Motion, contacts and pictures of scenes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.world.film import PALETTE, paint, record, render
from veo_core.world.grammar import held_out
from veo_core.world.scene import PITCH_HERTZ, Scene, sample_scene

SECONDS, EXCERPT = 2.5, 2.0


def sample(seed: int, *, aspect: float = 1.0, seconds: float = SECONDS, objects: int = 1) -> Scene:
    rng = np.random.default_rng(seed)
    return sample_scene(
        rng, aspect=aspect, seconds=seconds, excerpt=EXCERPT, objects=2 if objects == 2 else 1
    )


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    aspect=st.sampled_from([1.0, 16 / 9, 9 / 16]),
    seconds=st.sampled_from([2.0, 2.5, 4.0]),
    objects=st.sampled_from([1, 2]),
)
def test_scene_keeps_its_promises_about_contacts(
    seed: int, aspect: float, seconds: float, objects: int
) -> None:
    scene = sample(seed, aspect=aspect, seconds=seconds, objects=objects)
    assert not held_out(scene.attributes)
    contacts = scene.contacts(seconds)
    assert contacts[0] >= 0.25
    assert all(t <= seconds - 0.2 and not EXCERPT - 0.2 < t < EXCERPT for t in contacts)
    assert all(body.contacts(EXCERPT) for body in scene.bodies)
    early = [t for t in contacts if t < min(seconds, EXCERPT + 1.0)]
    assert all(b - a >= 0.1 for a, b in itertools.pairwise(early))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), objects=st.sampled_from([1, 2]))
def test_direction_is_the_motion_from_the_first_frame_to_the_first_contact(seed: int, objects: int) -> None:
    for body in sample(seed, objects=objects).bodies:
        first = body.contacts(SECONDS)[0]
        along = body.positions(np.linspace(0.0, first, 20))
        steps = np.diff(along)
        assert np.all(steps > 0) if body.direction in ("right", "down") else np.all(steps < 0)
        assert abs(along[-1] - along[0]) >= 0.55 * (body.high - body.low)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_contact_is_where_the_object_touches_a_wall(seed: int) -> None:
    scene = sample(seed)
    (body,) = scene.bodies
    at = body.positions(body.contacts(SECONDS))
    assert (body.low, body.high) == (body.radius, 1.0 - body.radius)
    assert np.allclose(np.minimum(np.abs(at - body.low), np.abs(at - body.high)), 0.0, atol=1e-9)
    anywhere = body.positions(np.linspace(0, SECONDS, 500))
    assert anywhere.min() >= body.low - 1e-9
    assert anywhere.max() <= body.high + 1e-9


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_two_objects_never_overlap_and_differ_in_colour(seed: int) -> None:
    first, second = sample(seed, objects=2).bodies
    assert first.colour != second.colour
    assert first.horizontal == second.horizontal
    assert abs(first.lane - second.lane) >= first.radius + second.radius + 0.05


def test_render_when_repeated_is_the_same_and_another_seed_differs() -> None:
    times = np.arange(5) / 16
    one = render(sample(1), times, 64, 64)
    assert np.array_equal(one, render(sample(1), times, 64, 64))
    assert not np.array_equal(one, render(sample(2), times, 64, 64))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (96, 48)])
def test_render_shows_the_object_where_the_scene_says(height: int, width: int) -> None:
    scene = sample(4, aspect=width / height)
    (body,) = scene.bodies
    times = np.linspace(0.0, SECONDS, 11)
    frames = render(scene, times, height, width)
    assert frames.shape == (11, height, width, 3)
    difference = frames - paint(scene.background, height, width)[None]
    weight = np.abs(difference).sum(axis=3)
    weight[weight < 30] = 0
    x = (weight.sum(axis=1) @ (np.arange(width) + 0.5)) / weight.sum(axis=(1, 2))
    y = (weight.sum(axis=2) @ (np.arange(height) + 0.5)) / weight.sum(axis=(1, 2))
    side = min(height, width)
    true_x, true_y = (side * centre for centre in body.centres(times))
    tolerance = body.radius * side / 2.5  # a triangle's centroid lies a third of its radius below its middle
    assert np.abs(x - true_x).max() < tolerance
    assert np.abs(y - true_y).max() < tolerance


def test_render_is_anti_aliased_in_the_palettes_colour() -> None:
    scene = sample(9)
    (body,) = scene.bodies
    frame = render(scene, np.zeros(1), 128, 128)[0].reshape(-1, 3).astype(int)
    colour = np.array(PALETTE[body.colour])
    ground = frame[0]
    share = ((frame - ground) @ (colour - ground)) / ((colour - ground) @ (colour - ground))
    assert np.any((frame == colour).all(axis=1))
    assert 20 < np.count_nonzero((share > 0.25) & (share < 0.75)) < 400


def test_record_plays_the_pitch_from_each_onset_on() -> None:
    scene = sample(3)
    sound = record(scene, [0.5, 1.25], 2.0, 48_000)[0]
    assert sound.shape == (96_000,)
    assert np.flatnonzero(sound)[0] == pytest.approx(24_000, abs=2)
    assert np.abs(sound[58_000:59_999]).max() < 1e-3
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) / 2.0 == pytest.approx(PITCH_HERTZ[scene.pitch], rel=0.02)
