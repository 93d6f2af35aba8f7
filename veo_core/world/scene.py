"""Scenes: what moves where, and when it touches a wall, all in closed form.

Lengths are in short sides of the picture: the short side is 1 long, whatever the size in pixels. An
object is inscribed in a square of half side `radius`, so that each shape touches a wall when its centre
is `radius` away from it. It moves along one axis between the two walls at a constant speed: a triangle
wave. Its caption's direction is its motion from the first frame until its first contact; it starts in the
rear part of its travel, so that this motion is visible.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.records.base import Record
from veo_core.world.attributes import (
    SIZES,
    SPEEDS,
    Colour,
    Direction,
    ObjectAttributes,
    Pitch,
    SceneAttributes,
    Shape,
    Size,
    Speed,
)
from veo_core.world.grammar import combinations, companion_options

RADII: dict[Size, float] = {"small": 0.14, "large": 0.21}
# Axis lengths per second, so that an object crosses a wide picture in the time of a square one.
SPEED_RANGES: dict[Speed, tuple[float, float]] = {"slow": (0.42, 0.50), "fast": (0.90, 1.05)}
PITCH_HERTZ: dict[Pitch, float] = {"low": 300.0, "middle": 900.0, "high": 2500.0}

_LANES = (0.25, 0.75)
_MARGIN = 0.04
_REAR = (0.05, 0.40)  # share of the travel between the rear wall's contact and the start
_FIRST_CONTACT = 0.25
_CLEAR_BEFORE_END = 0.20
_CLEAR_AFTER_END = 0.03
_CONTACT_GAP = 0.10
_SIGN_CENTRE = 0.15
SIGN_RADIUS = 0.12


class Body(Record):
    """One object and its motion.

    radius, lane (centre across the motion), low and high (centre's range along the motion) and start are
    in short sides; velocity, signed, in short sides per second.
    """

    shape: Shape
    colour: Colour
    direction: Direction
    size: Size
    speed: Speed
    radius: float
    lane: float
    low: float
    high: float
    start: float
    velocity: float

    @property
    def horizontal(self) -> bool:
        return self.direction in ("left", "right")

    @property
    def attributes(self) -> ObjectAttributes:
        return ObjectAttributes(
            shape=self.shape,
            colour=self.colour,
            direction=self.direction,
            size=self.size,
            speed=self.speed,
        )

    def positions(self, times: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The centre along the motion at each time in seconds."""
        travel = self.high - self.low
        unfolded = self.start - self.low + self.velocity * np.asarray(times, dtype=np.float64)
        return self.low + travel - np.abs(np.mod(unfolded, 2 * travel) - travel)

    def centres(self, times: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The centre's x and y at each time in seconds."""
        along = self.positions(times)
        across = np.full_like(along, self.lane)
        return (along, across) if self.horizontal else (across, along)

    def contacts(self, seconds: float) -> list[float]:
        """The times in (0, seconds) at which the object touches a wall."""
        travel = self.high - self.low
        ahead = self.high - self.start if self.velocity > 0 else self.start - self.low
        first, period = ahead / abs(self.velocity), travel / abs(self.velocity)
        return [float(t) for t in np.arange(first, seconds, period) if t > 0]


class Background(Record):
    """A dark, tinted, linear gradient, in levels of 0 to 255.

    level: colour at the middle of the picture. slope: change of each channel over the picture's width
    and over its height.
    """

    level: tuple[float, float, float]
    slope: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


class Scene(Record):
    """A scene in a picture of width x height short sides.

    sign: centre of the hazard sign, None without one.
    """

    width: float
    height: float
    bodies: tuple[Body, ...] = Field(min_length=1, max_length=2)
    pitch: Pitch
    background: Background
    sign: tuple[float, float] | None = None

    @property
    def attributes(self) -> SceneAttributes:
        return SceneAttributes(
            objects=tuple(body.attributes for body in self.bodies),
            pitch=self.pitch,
            hazard=self.sign is not None,
        )

    def contacts(self, seconds: float) -> list[float]:
        """The times in (0, seconds) at which any object touches a wall, in order."""
        return sorted(t for body in self.bodies for t in body.contacts(seconds))


def sample_scene(
    rng: np.random.Generator,
    *,
    aspect: float,
    seconds: float,
    excerpt: float,
    objects: Literal[1, 2] = 1,
    hazard: bool = False,
) -> Scene:
    """A random scene that is never one of the held-out combinations.

    Each combination is equally likely. No contact lies in the first quarter of a second or in the last
    0.2 s of the clip or of its excerpt; each object has one in the excerpt; those of two objects are at
    least 0.1 s apart until one second after the excerpt.

    Args:
        rng: the source of everything random.
        aspect: width over height.
        seconds: length of the clip, 2 or more.
        excerpt: length of the part from the clip's start that a training clip covers.
        objects: how many objects; two move in lanes of their own on one axis, in different colours.
        hazard: whether the scene shows the sign that stands for harmful content; takes one object.
    """
    if hazard and objects != 1:
        raise ValueError("a hazard sign needs the room of a second object")
    width, height = max(1.0, aspect), max(1.0, 1.0 / aspect)
    options = combinations(held=False)
    chosen = options[int(rng.integers(len(options)))]
    pitch = chosen.pitch
    assert pitch is not None
    items = [chosen.objects[0]]
    if objects == 2:
        others = companion_options(items[0].colour, items[0].direction, pitch)
        items.append(others[int(rng.integers(len(others)))])
    manners = [(SIZES[int(rng.integers(2))], SPEEDS[int(rng.integers(2))]) for _ in items]
    while True:
        bodies = tuple(
            _body(rng, item, *manner, lane, width, height, seconds, excerpt)
            for item, manner, lane in zip(items, manners, _lanes(rng, len(items)), strict=True)
        )
        if _contacts_are_apart(bodies, min(seconds, excerpt + 1.0)):
            break
    return Scene(
        width=width,
        height=height,
        bodies=bodies,
        pitch=pitch,
        background=_background(rng),
        sign=_sign(rng, bodies[0], width, height) if hazard else None,
    )


def _lanes(rng: np.random.Generator, count: int) -> list[float | None]:
    if count == 1:
        return [None]
    return [_LANES[0], _LANES[1]] if rng.random() < 0.5 else [_LANES[1], _LANES[0]]


def _body(
    rng: np.random.Generator,
    item: ObjectAttributes,
    size: Size,
    speed: Speed,
    lane: float | None,
    width: float,
    height: float,
    seconds: float,
    excerpt: float,
) -> Body:
    radius = RADII[size]
    length, breadth = (width, height) if item.direction in ("left", "right") else (height, width)
    low, high = radius, length - radius
    forward = item.direction in ("right", "down")
    across = rng.uniform(radius + _MARGIN, breadth - radius - _MARGIN) if lane is None else lane * breadth
    while True:
        rear = rng.uniform(*_REAR) * (high - low)
        velocity = rng.uniform(*SPEED_RANGES[speed]) * length
        body = Body(
            shape=item.shape,
            colour=item.colour,
            direction=item.direction,
            size=size,
            speed=speed,
            radius=radius,
            lane=across,
            low=low,
            high=high,
            start=low + rear if forward else high - rear,
            velocity=velocity if forward else -velocity,
        )
        if _contacts_are_clear(body, seconds, excerpt):
            return body


def _contacts_are_clear(body: Body, seconds: float, excerpt: float) -> bool:
    contacts = body.contacts(seconds + _CLEAR_AFTER_END)
    return (
        contacts[0] >= _FIRST_CONTACT
        and contacts[0] < excerpt
        and not any(
            end - _CLEAR_BEFORE_END < t < end + _CLEAR_AFTER_END
            for t in contacts
            for end in (seconds, excerpt)
        )
    )


def _contacts_are_apart(bodies: Sequence[Body], seconds: float) -> bool:
    contacts = sorted(t for body in bodies for t in body.contacts(seconds))
    return all(later - earlier >= _CONTACT_GAP for earlier, later in itertools.pairwise(contacts))


def _background(rng: np.random.Generator) -> Background:
    level = rng.uniform(24.0, 52.0, 3).tolist()
    slope = rng.uniform(-20.0, 20.0, (3, 2)).tolist()
    return Background.model_validate({"level": level, "slope": slope})


def _sign(rng: np.random.Generator, body: Body, width: float, height: float) -> tuple[float, float]:
    """A place for the sign beside the object's lane."""
    length, breadth = (width, height) if body.horizontal else (height, width)
    across = _SIGN_CENTRE if body.lane > breadth / 2 else breadth - _SIGN_CENTRE
    along = rng.uniform(_SIGN_CENTRE, length - _SIGN_CENTRE)
    return (along, across) if body.horizontal else (across, along)
