"""The camera: a scene as pictures and sound."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from veo_core.world.attributes import Colour, Shape
from veo_core.world.scene import PITCH_HERTZ, SIGN_RADIUS, Background, Scene

PALETTE: dict[Colour, tuple[int, int, int]] = {
    "red": (228, 56, 48),
    "green": (56, 200, 80),
    "blue": (64, 104, 244),
    "yellow": (244, 208, 56),
}
SIGN_COLOUR = (232, 64, 232)
CROSS_ARM = 0.32  # half the width of the cross's arms, in radii

_TONE_AMPLITUDE = 0.6
_TONE_DECAY = 0.06  # seconds to 1/e
_TONE_SECONDS = 0.5


def coverage(
    shape: Shape, dx: npt.NDArray[np.float32], dy: npt.NDArray[np.float32], radius: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """How much of each pixel a shape covers, 0 to 1, from its signed distance.

    Args:
        shape: what is drawn.
        dx: distance from the shape's centre to the right, in pixels, any shape.
        dy: distance from the shape's centre downwards, in pixels, broadcastable with `dx`.
        radius: half the side of the square that bounds the shape, in pixels, broadcastable with `dx`.
    """
    r = np.asarray(radius, dtype=np.float32)
    if shape == "circle":
        distance = np.hypot(dx, dy) - r
    elif shape == "cross":
        arm = CROSS_ARM * r
        x, y = np.abs(dx), np.abs(dy)
        distance = np.minimum(np.maximum(x - r, y - arm), np.maximum(x - arm, y - r))
    else:
        # Apex (0, -r), base from (-r, r) to (r, r): the sides' outward normal is (2, -1) / sqrt(5).
        sides = (2.0 * np.abs(dx) - dy - r) / np.float32(np.sqrt(5.0))
        distance = np.maximum(sides, dy - r)
    alpha: npt.NDArray[np.float32] = np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32, copy=False)
    return alpha


def render(scene: Scene, times: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Pictures of a scene at the given times in seconds, RGB uint8 [t, h, w, 3], anti-aliased."""
    scale = min(height, width)
    largest = max(max(body.radius for body in scene.bodies), SIGN_RADIUS)
    margin = int(largest * scale) + 3  # a patch around an object may reach beyond the picture
    ground = np.pad(paint(scene.background, height, width), ((margin, margin), (margin, margin), (0, 0)))
    if scene.sign is not None:
        _draw_sign(ground, scene.sign, margin, scale)
    frames = np.repeat((ground + 0.5).astype(np.uint8)[None], len(times), axis=0)
    for body in scene.bodies:
        patch = np.arange(2 * (int(body.radius * scale) + 2))
        x, y = (centre * scale + margin for centre in body.centres(times))
        left, top = (np.floor(c).astype(np.intp) - len(patch) // 2 for c in (x, y))
        columns, rows = left[:, None] + patch, top[:, None] + patch  # [t, patch]
        dx = (columns + 0.5 - x[:, None]).astype(np.float32)[:, None, :]
        dy = (rows + 0.5 - y[:, None]).astype(np.float32)[:, :, None]
        alpha = coverage(body.shape, dx, dy, body.radius * scale)[..., None]
        index = np.arange(len(times))[:, None, None], rows[:, :, None], columns[:, None, :]
        under = frames[index].astype(np.float32)
        over = under + alpha * (np.asarray(PALETTE[body.colour], np.float32) - under)
        frames[index] = (over + 0.5).astype(np.uint8)
    return np.ascontiguousarray(frames[:, margin : margin + height, margin : margin + width])


def paint(background: Background, height: int, width: int) -> npt.NDArray[np.float32]:
    """The empty background, float32 [h, w, 3] in levels of 0 to 255."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    slope = np.asarray(background.slope, np.float32)  # [channel, axis]
    gradient = x[None, :, None] * slope[:, 0] + y[:, None, None] * slope[:, 1]
    return (np.asarray(background.level, np.float32) + gradient).astype(np.float32, copy=False)


def _draw_sign(ground: npt.NDArray[np.float32], centre: tuple[float, float], margin: int, scale: int) -> None:
    """A diamond with a dark exclamation mark, in a colour that no object has."""
    height, width = ground.shape[:2]
    dx = (np.arange(width, dtype=np.float32) + 0.5 - margin)[None, :] / scale - np.float32(centre[0])
    dy = (np.arange(height, dtype=np.float32) + 0.5 - margin)[:, None] / scale - np.float32(centre[1])
    edge = np.abs(dx) + np.abs(dy) - SIGN_RADIUS
    stroke = np.maximum(np.abs(dx) - 0.013, np.abs(dy + 0.018) - 0.042)
    dot = np.maximum(np.abs(dx) - 0.013, np.abs(dy - 0.055) - 0.013)
    alpha = np.clip(0.5 - edge * scale / np.float32(np.sqrt(2.0)), 0.0, 1.0)[..., None]
    mark = np.clip(0.5 - np.minimum(stroke, dot) * scale, 0.0, 1.0)[..., None]
    ground += alpha * ((1.0 - mark) * np.asarray(SIGN_COLOUR, np.float32) - ground)


def synthesise(onsets: Sequence[float], hertz: float, seconds: float, rate: int) -> npt.NDArray[np.float32]:
    """A decaying tone at each onset, mono float32 [1, l] in [-1, 1], over silence."""
    samples = np.zeros(round(seconds * rate), np.float32)
    for onset in onsets:
        first = int(np.ceil(onset * rate))
        last = min(len(samples), first + int(_TONE_SECONDS * rate))
        t = np.arange(first, last) / rate - onset
        samples[first:last] += _TONE_AMPLITUDE * np.exp(-t / _TONE_DECAY) * np.sin(2 * np.pi * hertz * t)
    return np.clip(samples, -1.0, 1.0)[None]


def alarm(seconds: float, rate: int) -> npt.NDArray[np.float32]:
    """The alarm that stands for harmful content, mono float32 [1, l]: two pitches by turns, a quarter second
    each."""
    t = np.arange(round(seconds * rate)) / rate
    hertz = np.where(t % 0.5 < 0.25, PITCH_HERTZ["low"], PITCH_HERTZ["high"])
    return np.asarray(_TONE_AMPLITUDE * np.sin(2 * np.pi * hertz * t), np.float32)[None]


def record(scene: Scene, onsets: Sequence[float], seconds: float, rate: int) -> npt.NDArray[np.float32]:
    """The sound of a scene whose tones start at `onsets`, mono float32 [1, l]."""
    return synthesise(onsets, PITCH_HERTZ[scene.pitch], seconds, rate)
