"""Flicker on hand-computed cases."""

import numpy as np
import pytest

from veo_core.evaluate.flicker import flicker


def moving_square() -> np.ndarray:
    luma = np.zeros((12, 32, 48), dtype=np.uint8)
    for t in range(12):
        luma[t, 8:24, t : t + 16] = 200
    return luma


def test_flicker_ignores_a_moving_object():
    assert flicker(moving_square()) == 0.0


def test_flicker_ignores_a_steady_fade():
    fade = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None] * 12, (10, 4, 4))
    assert flicker(fade) == 0.0


def test_flicker_of_alternating_brightness_is_its_height():
    luma = np.full((9, 4, 4), 100, dtype=np.uint8)
    luma[1::2] += 10
    assert flicker(luma) == pytest.approx(10.0)


def test_flicker_grows_with_noise():
    rng = np.random.default_rng(0)
    base = moving_square().astype(np.float64) * 0.5 + 60
    noise = rng.normal(0, 1, base.shape)
    figures = [flicker((base + sigma * noise).round().astype(np.uint8)) for sigma in (0, 1, 2, 4, 8)]
    assert figures == sorted(figures)
    assert figures[-1] > 2 * figures[1] > 0


def test_flicker_of_two_frames_is_zero():
    assert flicker(np.zeros((2, 4, 4), dtype=np.uint8)) == 0.0
