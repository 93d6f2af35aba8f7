"""Seeing: the objects of a clip, how they move and when they touch walls. Nothing is learnt.

Objects are far more colourful than anything else in a picture, so that colourfulness (largest less smallest
channel) finds them on any dark ground. An object's soft mask is the projection of each pixel on the line
from the background's colour to the object's; its sum and centroid are accurate to a fraction of a pixel,
and blur does not move them. Shape is the template that leaves the smallest error, drawn with the size and
place that the mask's moments imply.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from veo_core.world.attributes import COLOURS, SHAPES, Direction, Shape, Speed
from veo_core.world.film import CROSS_ARM, PALETTE, SIGN_COLOUR, coverage
from veo_core.world.scene import RADII, SPEED_RANGES
from veo_core.world.sighting import SeenObject, SeenPicture
from veo_core.world.track import follow

_SIDE = 64  # pixels of the short side at which pictures are analysed
_COLOURFUL = 70.0  # least colourfulness of an object, in levels
_SMALLEST_AREA = 0.012  # squared short sides
_PRESENT = 0.5  # share of the frames in which an object must be seen
_SHAPE_FRAMES = 9
_WORST_FIT = 0.30  # squared error of the best template, per pixel of the object
_MOVES = 0.06  # short sides

_AREA: dict[Shape, float] = {"circle": np.pi, "cross": 8 * CROSS_ARM - 4 * CROSS_ARM**2, "triangle": 2.0}
_CENTROID_BELOW_CENTRE: dict[Shape, float] = {"circle": 0.0, "cross": 0.0, "triangle": 1.0 / 3.0}
_SMALL_BELOW = float(np.sqrt(RADII["small"] * RADII["large"]))
_SLOW_BELOW = float(np.sqrt(SPEED_RANGES["slow"][1] * SPEED_RANGES["fast"][0]))
_SIGN = len(COLOURS)  # label of the hazard sign among the colours

Mask = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class _Track(NamedTuple):
    """One object through time: where it is seen, frame numbers [n], and its core there [n, h, w]."""

    label: int
    seen: npt.NDArray[np.intp]
    mask: Mask


def see(frames: npt.NDArray[np.uint8], pts: npt.NDArray[np.float64] | None) -> SeenPicture:
    """What pictures show.

    Args:
        frames: RGB pictures in time order, uint8 [t, h, w, 3].
        pts: time of each in seconds; None for stills of unknown times. Stills tell no speed and no contact;
            direction then follows from where the first still, taken for the clip's first frame, shows the
            object on its way: in the rear part.
    """
    small = _shrink(frames)
    pixels = small.astype(np.float32)
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    palest = np.minimum(np.minimum(red, green), blue)
    colourfulness = np.maximum(np.maximum(red, green), blue) - palest
    core = colourfulness > max(_COLOURFUL, 0.5 * float(np.quantile(colourfulness[:, ::2, ::2], 0.995)))
    ground, plane = _ground(pixels, core)
    tracks = _tracks(_labels(pixels, core), min(small.shape[1:3]))
    objects = [
        _describe(track, pixels, plane, None if pts is None else pts[track.seen])
        for track in tracks
        if track.label != _SIGN
    ]
    signs = {int(index) for track in tracks if track.label == _SIGN for index in track.seen}
    text, logo = _overlays(cv2.subtract(palest, colourfulness), ground)
    return SeenPicture(
        objects=tuple(sorted(objects, key=lambda item: (item.start[1], item.start[0]))),
        hazard=bool(signs),
        signs=tuple(sorted(signs)),
        text=text,
        logo=logo,
        background=(float(ground[0]), float(ground[1]), float(ground[2])),
    )


def _shrink(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = frames.shape[1:3]
    scale = _SIDE / min(height, width)
    if scale >= 1.0:
        return frames
    size = (round(width * scale), round(height * scale))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _ground(pixels: Floats, core: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The background's median colour [3], and the plane [h, w, 3] that fits it, objects left out."""
    kernel = np.ones((5, 5), np.uint8)
    free = np.stack([cv2.dilate(frame.astype(np.uint8), kernel) for frame in core]) == 0
    seen = free.sum(axis=0)
    mean = np.einsum("thwc,thw->hwc", pixels, free.astype(np.float32)) / np.maximum(seen, 1)[..., None]
    height, width = seen.shape
    y, x = np.mgrid[0:height, 0:width]
    basis = np.stack([np.ones(height * width), x.ravel() / width - 0.5, y.ravel() / height - 0.5], axis=1)
    used = seen.ravel() > 0
    if used.sum() < 16:
        middle = np.median(pixels.reshape(-1, 3), axis=0).astype(np.float32)
        return middle, np.broadcast_to(middle, (height, width, 3))
    values = mean.reshape(-1, 3)[used]
    solution = np.linalg.lstsq(basis[used], values, rcond=None)[0]
    plane = (basis @ solution).reshape(height, width, 3).astype(np.float32)
    return np.median(values, axis=0).astype(np.float32), plane


def _labels(pixels: Floats, core: npt.NDArray[np.bool_]) -> Mask:
    """The nearest palette colour of each core pixel plus one, 0 elsewhere, uint8 [t, h, w]."""
    palette = np.array([*(PALETTE[colour] for colour in COLOURS), SIGN_COLOUR], np.float32)
    hues = _hue(palette)
    labels = np.zeros(core.shape, np.uint8)
    found = _hue(pixels[core])
    labels[core] = ((found[:, None] - hues) ** 2).sum(axis=2).argmin(axis=1) + 1
    return labels


def _hue(colours: Floats) -> Floats:
    """Colours [n, 3] with brightness and saturation taken out."""
    low = colours.min(axis=1, keepdims=True)
    hue: Floats = (colours - low) / np.maximum(colours.max(axis=1, keepdims=True) - low, 1.0)
    return hue


def _tracks(labels: Mask, side: int) -> list[_Track]:
    """Objects by colour; where a colour shows two bodies at most times, the nearer is followed."""
    smallest = max(4.0, _SMALLEST_AREA * side * side)
    tracks = []
    for label in range(1, _SIGN + 2):
        if np.count_nonzero(labels == label) < smallest:
            continue
        bodies = [_bodies(frame == label, smallest) for frame in labels]
        several = np.mean([len(found) >= 2 for found in bodies]) >= _PRESENT
        for masks in _link(bodies, 2 if several else 1):
            index = np.array([i for i, mask in enumerate(masks) if mask is not None], dtype=np.intp)
            if len(index) >= max(1.0, _PRESENT * len(labels)):
                stack = np.stack([mask for mask in masks if mask is not None])
                tracks.append(_Track(label - 1, index, stack))
    return tracks


_Body = tuple[npt.NDArray[np.float64], Mask]


def _bodies(mask: npt.NDArray[np.bool_], smallest: float) -> list[_Body]:
    """Connected regions of one frame: centroid and mask, largest first."""
    count, regions, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    order = [int(i) + 1 for i in np.argsort(-areas, kind="stable") if areas[i] >= smallest]
    return [(centroids[i], (regions == i).astype(np.uint8)) for i in order]


def _link(bodies: list[list[_Body]], count: int) -> list[list[Mask | None]]:
    """Follow `count` bodies through the frames, each to the nearest one of the next frame."""
    if count == 1:
        return [[found[0][1] if found else None for found in bodies]]
    last: list[npt.NDArray[np.float64] | None] = [None] * count
    tracks: list[list[Mask | None]] = [[] for _ in range(count)]
    for found in bodies:
        free = list(found[:count])
        for number, track in enumerate(tracks):
            place = last[number]
            if not free or (place is None and len(free) < count - number):
                track.append(None)
                continue
            distances = [0.0 if place is None else float(np.hypot(*(body[0] - place))) for body in free]
            centroid, mask = free.pop(int(np.argmin(distances)))
            last[number] = centroid
            track.append(mask)
    return tracks


def _describe(
    track: _Track, pixels: Floats, plane: Floats, times: npt.NDArray[np.float64] | None
) -> SeenObject:
    height, width = plane.shape[:2]
    side = min(height, width)
    soft = _soft_mask(track, pixels[track.seen], plane)
    mass = soft.sum(axis=(1, 2))
    x = (soft.sum(axis=1) @ (np.arange(width, dtype=np.float32) + 0.5)) / mass
    y = (soft.sum(axis=2) @ (np.arange(height, dtype=np.float32) + 0.5)) / mass
    shape, radius = _shape(soft, x, y, float(np.median(mass)))
    below = _CENTROID_BELOW_CENTRE[shape] * radius if shape else 0.0
    x, y = x.astype(np.float64) / side, (y.astype(np.float64) - below) / side
    horizontal = bool(np.ptp(x) >= np.ptp(y))
    along, length = (x, width / side) if horizontal else (y, height / side)
    direction: Direction | None = None
    speed: Speed | None = None
    contacts: tuple[float, ...] = ()
    if np.ptp(along) >= _MOVES:
        if times is None:
            forward = bool(along[0] < length / 2)
            direction = _direction(horizontal, forward)
        else:
            motion = follow(times, along)
            contacts = motion.turns
            if motion.velocity:
                direction = _direction(horizontal, motion.velocity > 0)
                speed = "slow" if motion.speed / length < _SLOW_BELOW else "fast"
    return SeenObject(
        shape=shape,
        colour=COLOURS[track.label],
        direction=direction,
        size="small" if radius / side < _SMALL_BELOW else "large",
        speed=speed,
        radius=radius / side,
        start=(float(x[0]), float(y[0])),
        contacts=contacts,
    )


def _direction(horizontal: bool, forward: bool) -> Direction:
    if horizontal:
        return "right" if forward else "left"
    return "down" if forward else "up"


def _soft_mask(track: _Track, pixels: Floats, plane: Floats) -> Floats:
    """How much of each pixel the object covers, 0 to 1, float32 [n, h, w]."""
    inner = np.stack([cv2.erode(mask, np.ones((3, 3), np.uint8)) for mask in track.mask])
    sample = inner if np.count_nonzero(inner) >= 3 * len(inner) else track.mask
    colour = np.median(pixels[sample > 0], axis=0)
    step = colour - plane  # [h, w, 3]
    weight = step / np.maximum((step * step).sum(axis=2, keepdims=True), 1.0)
    alpha = np.einsum("thwc,hwc->thw", pixels, weight) - (plane * weight).sum(axis=2)
    near = np.stack([cv2.dilate(mask, np.ones((5, 5), np.uint8)) for mask in track.mask])
    soft: Floats = np.clip(alpha, 0.0, 1.0) * near
    return soft


def _shape(soft: Floats, x: Floats, y: Floats, mass: float) -> tuple[Shape | None, float]:
    """The template with the smallest squared error, None where none fits, and the radius in pixels."""
    chosen = np.unique(np.linspace(0, len(soft) - 1, _SHAPE_FRAMES).round().astype(np.intp))
    margin = int(np.ceil(1.3 * np.sqrt(mass / 2.0))) + 2
    padded = np.pad(soft[chosen], ((0, 0), (margin, margin), (margin, margin)))
    patch = np.arange(-margin, margin + 1)
    columns = np.floor(x[chosen]).astype(np.intp)[:, None] + patch
    rows = np.floor(y[chosen]).astype(np.intp)[:, None] + patch
    index = np.arange(len(chosen))[:, None, None], rows[:, :, None] + margin, columns[:, None, :] + margin
    seen = padded[index]
    dx = (columns + 0.5 - x[chosen, None]).astype(np.float32)[:, None, :]
    dy = (rows + 0.5 - y[chosen, None]).astype(np.float32)[:, :, None]
    fits: list[tuple[float, Shape, float]] = []
    for shape in SHAPES:
        radius = float(np.sqrt(mass / _AREA[shape]))
        template = coverage(shape, dx, dy + np.float32(_CENTROID_BELOW_CENTRE[shape] * radius), radius)
        fits.append((float(((seen - template) ** 2).sum() / len(chosen) / mass), shape, radius))
    error, best, radius = min(fits)
    return (best if error <= _WORST_FIT else None), radius


def _overlays(paleness: npt.NDArray[np.uint8], ground: Floats) -> tuple[bool, bool]:
    """Whether text is burnt in, and whether a mark sits in a corner: pale pixels that stay in place.

    paleness: the least channel of each pixel less its colourfulness, uint8 [t, h, w], so that the edge of a
    bright object is not pale; a pixel counts where it is pale in all frames but a fifth.
    """
    rank = len(paleness) // 5
    pale = np.partition(paleness, rank, axis=0)[rank] > float(ground.max()) + 50.0
    share = float(pale.mean())
    if not 0.003 <= share <= 0.25:
        return False, False
    rows, columns = np.flatnonzero(pale.any(axis=1)), np.flatnonzero(pale.any(axis=0))
    height = float(rows[-1] - rows[0] + 1) / pale.shape[0]
    width = float(columns[-1] - columns[0] + 1) / pale.shape[1]
    return width > 0.35, width <= 0.35 and height <= 0.35
