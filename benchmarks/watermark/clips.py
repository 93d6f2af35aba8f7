"""Clips to be marked: the world's, photographs under a moving camera, and moving textures."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from veo_core.world.plan import scene_of
from veo_core.world.take import shoot
from veo_core.world.truth import WorldSpec

FPS = 24.0
SECONDS = 2.0
KINDS = ("world", "photograph", "texture")

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

_PHOTOGRAPHS: tuple[Callable[[], UInt8], ...] = (
    data.astronaut,
    data.chelsea,
    data.coffee,
    data.rocket,
    data.immunohistochemistry,
    data.brick,
    data.grass,
    data.gravel,
    data.moon,
    lambda: data.stereo_motorcycle()[0],
)


class Clip(NamedTuple):
    """kind: one of `KINDS`. frames: uint8 [t, h, w, 3], `FPS` of them a second."""

    kind: str
    frames: UInt8


def clip_of(number: int, used_seed: int, height: int = 256, width: int = 448) -> Clip:
    """Clip `number` of a seed; a clip in three is of each kind."""
    kind = KINDS[number % len(KINDS)]
    generator = np.random.default_rng((used_seed, number))
    if kind == "world":
        return Clip(kind, world_frames(number, used_seed, height, width, FPS, SECONDS))
    layer = _photograph if kind == "photograph" else _noise
    back, front = (layer(generator, 2 * height, 2 * width) for _ in range(2))
    return Clip(kind, _filmed(back, front, generator, height, width))


def world_frames(number: int, used_seed: int, height: int, width: int, fps: float, seconds: float) -> UInt8:
    """A clip of the world at any size."""
    spec = WorldSpec(seed=used_seed, width=width, height=height, fps=fps, seconds=max(2.0, seconds))
    return shoot(scene_of(spec, number), spec).frames[: round(fps * seconds)]


def _filmed(back: Float32, front: Float32, generator: np.random.Generator, height: int, width: int) -> UInt8:
    """A camera that pans and zooms over `back` with an unsteady hand while a part of `front` passes by."""
    count = round(FPS * SECONDS)
    zoom = generator.uniform(0.55, 0.85) * np.exp(np.linspace(0, generator.uniform(-0.15, 0.15), count))
    path = generator.uniform(-1.2, 1.2, 2) * np.arange(count)[:, None]
    path = path + generator.normal(0, 0.4, (count, 2)).cumsum(axis=0)
    outline = np.zeros((height, width), np.float32)
    axes = (int(generator.uniform(0.1, 0.2) * width), int(generator.uniform(0.15, 0.3) * height))
    cv2.ellipse(outline, (width // 2, height // 2), axes, generator.uniform(0, 180), 0, 360, 1.0, -1)
    outline = cv2.GaussianBlur(outline, (0, 0), 1.0)
    start, speed = generator.uniform(-0.4, 0.4, 2), generator.uniform(-0.012, 0.012, 2)
    grain = generator.uniform(0.0, 2.0)
    frames = np.empty((count, height, width, 3), np.uint8)
    for number in range(count):
        scene = _moved(back, zoom[number], path[number], height, width)
        shift = (start + speed * number) * (width, height)
        alpha = cv2.warpAffine(outline, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (width, height))
        passing = _moved(front, 0.7, path[number] - shift, height, width)
        scene += alpha[..., None] * (passing - scene)
        scene += grain * generator.standard_normal((height, width, 1), dtype=np.float32)
        frames[number] = np.clip(scene, 0, 255)
    return frames


def _moved(layer: Float32, zoom: float, shift: npt.NDArray[np.float64], height: int, width: int) -> Float32:
    """The part of a layer that the camera sees; what lies beyond its edges is mirrored."""
    centre = np.array(layer.shape[1::-1]) / 2 + shift - np.array([width, height]) * zoom / 2
    matrix = np.array([[zoom, 0, centre[0]], [0, zoom, centre[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(layer, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, dtype=np.float32)


@lru_cache
def _photographs() -> tuple[UInt8, ...]:
    pictures = [read() for read in _PHOTOGRAPHS]
    return tuple(
        picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2) for picture in pictures
    )


def _photograph(generator: np.random.Generator, height: int, width: int) -> Float32:
    photographs = _photographs()
    picture = photographs[generator.integers(len(photographs))]
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled, dtype=np.float32)


def _noise(generator: np.random.Generator, height: int, width: int) -> Float32:
    """Coloured noise whose amplitude falls with frequency as in natural pictures, with hard edges in it."""
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    slope = generator.uniform(0.9, 1.5)
    fall = np.maximum(np.hypot(y, x), 1 / width) ** -slope
    shape = (4, *np.broadcast_shapes(y.shape, x.shape))
    spectrum = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)) * fall
    fields = np.fft.irfft2(spectrum, s=(height, width))
    fields /= fields.std(axis=(1, 2), keepdims=True)
    colours = fields[1:] * generator.uniform(10, 40, (3, 1, 1)) + generator.uniform(90, 160, (3, 1, 1))
    colours += np.where(fields[0] > generator.uniform(0, 1), generator.uniform(-60, 60), 0.0)
    return np.asarray(np.clip(colours, 0, 255).transpose(1, 2, 0), dtype=np.float32)
