from pathlib import Path

import numpy as np
import pytest

from veo_core.media.encode import encode

RATE = 48_000


def moving_square(count=40, side=96, fps=16.0):
    """A bright square that moves right over a dark picture, with a click at 1 s: frames, sound."""
    frames = np.full((count, side, side, 3), 30, np.uint8)
    for index in range(count):
        frames[index, 40:60, index : index + 20] = (230, 40, 40)
    audio = np.zeros((1, round(count / fps * RATE)), np.float32)
    audio[0, RATE : RATE + 4800] = 0.5 * np.sin(np.arange(4800) * 0.1)
    return frames, audio


@pytest.fixture
def square_file(tmp_path) -> Path:
    frames, audio = moving_square()
    path = tmp_path / "square.mp4"
    encode(path, frames, fps=16, audio=audio)
    return path
