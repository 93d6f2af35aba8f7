"""An embedding of what moves in a clip, from its signature and without a model.

The thumbnails' change over time is put into cosine waves along time, height and width (a discrete cosine
transform), of which the slow and coarse ones are kept: coding noise and small logos are in the others, and
what stands still has no change at all. Mirroring a picture turns the sign of the waves that are odd along
that side, so that `Layout` compares two clips at every mirroring for the price of one.

Crops and excerpts move the waves. A clip therefore has several views: the whole of it, and inner parts of
its picture and of its time, each of which resembles the copy that was cut so.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from veo_core.curate.dedup_vectors import Float32, Int8, Layout, quantise
from veo_core.media.signature import SIDE, STEPS

_WAVES_IN_TIME = 8  # the first of them, which is constant, stands for clips in which nothing moves
_WAVES_IN_SPACE = 6  # of which those with u + v < 6 are kept
_STILL = 1.0  # root mean square change below which nothing moves, in levels of 255


@dataclass(frozen=True)
class View:
    """A part of a clip, in shares of its time and sides: [left, right] x [top, bottom] x [begin, end]."""

    left: float = 0.0
    right: float = 1.0
    top: float = 0.0
    bottom: float = 1.0
    begin: float = 0.0
    end: float = 1.0


def _inner(margin: float) -> View:
    return View(margin, 1 - margin, margin, 1 - margin)


WHOLE = (View(),)
CROPS = tuple(_inner(margin) for margin in (0.07, 0.14))
EXCERPTS = tuple(
    View(begin=begin, end=begin + length)
    for length, begins in ((0.8, (0.0, 0.1, 0.2)), (0.6, (0.0, 0.13, 0.27, 0.4)))
    for begin in begins
)


@lru_cache(maxsize=1)
def _waves() -> tuple[list[tuple[int, int]], Layout]:
    """Waves (v, u) along height and width, sorted by what mirroring does to them, and the layout."""
    kept = [(v, u) for v in range(_WAVES_IN_SPACE) for u in range(_WAVES_IN_SPACE - v)]
    groups = [
        [w for w in kept if (w[1] % 2, w[0] % 2) == parity] for parity in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    layout = Layout(tuple(3 * _WAVES_IN_TIME * len(group) for group in groups))
    return [wave for group in groups for wave in group], layout


def layout() -> Layout:
    """How the 504 components behave when the picture is mirrored."""
    return _waves()[1]


def embed(pictures: npt.NDArray[np.uint8], views: tuple[View, ...] = WHOLE) -> Int8:
    """Embeddings [n, views, 504] of signatures' pictures [n, t, h, w, 3]."""
    values = pictures.astype(np.float32)
    return np.stack([quantise(_view(values, view)) for view in views], axis=1)


def _view(values: Float32, view: View) -> Float32:
    """Unquantised embeddings [n, 504] of one view of pictures [n, t, h, w, c]."""
    n = len(values)
    time = _transform(STEPS, _WAVES_IN_TIME, view.begin, view.end)
    height = _transform(SIDE, _WAVES_IN_SPACE, view.top, view.bottom)
    width = _transform(SIDE, _WAVES_IN_SPACE, view.left, view.right)
    waves = (time @ values.reshape(n, STEPS, -1)).reshape(n * _WAVES_IN_TIME, SIDE, -1)
    waves = (height @ waves).reshape(n * _WAVES_IN_TIME * _WAVES_IN_SPACE, SIDE, 3)
    waves = (width @ waves).reshape(n, _WAVES_IN_TIME, _WAVES_IN_SPACE, _WAVES_IN_SPACE, 3)
    # The waves are orthonormal: their squares add up to the change that the kept ones make.
    moving = np.square(waves[:, 1:]).sum(axis=(1, 2, 3, 4)) / (STEPS * SIDE * SIDE * 3) >= _STILL**2
    waves[moving, 0] = 0.0
    waves[~moving, 1:] = 0.0
    waves[:, 0, 0, 0] = 0.0  # the mean colour
    v, u = np.array(_waves()[0]).T
    return np.asarray(waves[:, :, v, u].transpose(0, 2, 1, 3).reshape(n, -1))


@lru_cache(maxsize=256)
def _transform(length: int, waves: int, begin: float, end: float) -> Float32:
    """The first cosine waves of the part [begin, end] of `length` cells, as a matrix [waves, length]."""
    positions = begin * length + (np.arange(length) + 0.5) * (end - begin) - 0.5
    low = np.clip(np.floor(positions).astype(int), 0, length - 2)
    share = np.clip(positions - low, 0.0, 1.0)
    sampled = np.zeros((length, length))
    sampled[np.arange(length), low] = 1 - share
    sampled[np.arange(length), low + 1] += share
    ticks = (np.arange(length) + 0.5) / length
    cosines = np.cos(np.pi * np.arange(waves)[:, None] * ticks) * np.sqrt(2 / length)
    cosines[0] /= np.sqrt(2)
    return np.asarray(cosines @ sampled, dtype=np.float32)
