"""Clips to be marked."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from veo_core.world.plan import scene_of
from veo_core.world.take import Take, shoot
from veo_core.world.truth import WorldSpec


@pytest.fixture(scope="session")
def world_take() -> Take:
    """A clip of the embedded world's size and sound."""
    spec = WorldSpec(seed=11, width=64, height=64, fps=8.0, seconds=2.125)
    return shoot(scene_of(spec, 3), spec)


@pytest.fixture(scope="session")
def natural_frames() -> npt.NDArray[np.uint8]:
    """Twelve pictures, uint8 [12, 256, 448, 3]: a texture as of nature that moves, with an edge in it."""
    generator = np.random.default_rng(12)
    noise = generator.normal(size=(320, 512, 3)).astype(np.float32)
    octaves = [cv2.GaussianBlur(noise, (0, 0), width) * width * 22 for width in (0.7, 1.5, 3, 6, 12, 24)]
    scene = 120 + sum(octaves)
    scene[:, 200:330] += 40
    pictures = [scene[n : n + 256, 2 * n : 2 * n + 448] for n in range(12)]
    return np.clip(np.stack(pictures), 0, 255).astype(np.uint8)
