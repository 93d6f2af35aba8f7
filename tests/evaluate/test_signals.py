"""Picture and sound figures on hand-computed cases."""

import numpy as np
import pytest

from veo_core.evaluate.signals import clipped, flicker, loudness, luma, motion


def moving_square(step: int = 1) -> np.ndarray:
    y = np.zeros((12, 32, 48), dtype=np.float32)
    for t in range(12):
        y[t, 8:24, t * step : t * step + 16] = 200.0
    return y


def test_luma_of_primaries_follows_bt601():
    frames = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], dtype=np.uint8)
    assert luma(frames)[0, 0] == pytest.approx([76.245, 149.685, 29.07, 255.0], abs=1e-2)


def test_motion_of_still_picture_is_zero_and_grows_with_speed():
    figures = [motion(moving_square(step)) for step in (0, 1, 2)]
    assert figures[0] == 0.0
    # A front edge and a rear edge of 16 pixels each change by 200 in every frame.
    assert figures[1] == pytest.approx(2 * 16 * 200 / (32 * 48))
    assert figures[2] == pytest.approx(2 * figures[1])


def test_flicker_ignores_a_moving_object():
    assert flicker(moving_square(1)) == 0.0


def test_flicker_of_alternating_brightness_is_its_height():
    y = np.full((9, 4, 4), 100.0, dtype=np.float32)
    y[1::2] += 10.0
    assert flicker(y) == pytest.approx(10.0)


def test_flicker_grows_with_noise():
    rng = np.random.default_rng(0)
    base = moving_square()
    noise = rng.normal(0, 1, base.shape).astype(np.float32)
    figures = [flicker(base + sigma * noise) for sigma in (0, 1, 2, 4, 8)]
    assert figures == sorted(figures)
    assert figures[-1] > figures[1] > 0


def test_loudness_of_full_scale_sine_is_minus_three_decibels():
    samples = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000, dtype=np.float32)[None]
    assert loudness(samples) == pytest.approx(-3.0103, abs=1e-3)
    assert loudness(samples / 10) == pytest.approx(-23.0103, abs=1e-3)


def test_loudness_of_silence_is_the_floor():
    assert loudness(np.zeros((1, 100), dtype=np.float32)) == -120.0
    assert loudness(np.zeros((1, 0), dtype=np.float32)) == -120.0


def test_clipped_counts_samples_at_full_scale():
    assert clipped(np.array([[0.0, 1.0, -1.0, 0.5]], dtype=np.float32)) == 0.5
