"""What a scene of the world shows and how it sounds, as words: the vocabulary of truth and detectors."""

from typing import Literal, get_args

from pydantic import Field

from veo_core.records.base import Record

Shape = Literal["circle", "cross", "triangle"]
Colour = Literal["red", "green", "blue", "yellow"]
Direction = Literal["left", "right", "up", "down"]
Pitch = Literal["low", "middle", "high"]
Size = Literal["small", "large"]
Speed = Literal["slow", "fast"]

SHAPES: tuple[Shape, ...] = get_args(Shape)
COLOURS: tuple[Colour, ...] = get_args(Colour)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
PITCHES: tuple[Pitch, ...] = get_args(Pitch)
SIZES: tuple[Size, ...] = get_args(Size)
SPEEDS: tuple[Speed, ...] = get_args(Speed)


class ObjectAttributes(Record):
    """One object. None means: not mentioned, in a caption."""

    shape: Shape
    colour: Colour
    direction: Direction = Field(description="motion from the first frame until the first contact")
    size: Size | None = None
    speed: Speed | None = None


class SceneAttributes(Record):
    """One scene: one or two objects, the tone of their wall contacts, a hazard sign or none."""

    objects: tuple[ObjectAttributes, ...] = Field(min_length=1, max_length=2)
    pitch: Pitch | None = None
    hazard: bool = False
