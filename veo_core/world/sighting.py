"""What the detectors see and hear in a clip. None means: the clip does not tell."""

from pydantic import Field

from veo_core.records.base import Record
from veo_core.world.attributes import Colour, Direction, Pitch, Shape, Size, Speed


class SeenObject(Record):
    """An object that moves along one axis; lengths in short sides of the picture, times in seconds."""

    shape: Shape | None
    colour: Colour
    direction: Direction | None = Field(description="motion from the first frame until the first contact")
    size: Size | None
    speed: Speed | None
    radius: float = Field(description="half the side of the square that bounds the object")
    start: tuple[float, float] = Field(description="x and y of the centre when first seen")
    contacts: tuple[float, ...] = Field(description="times at which its motion turns round at a wall")


class SeenPicture(Record):
    """What the frames of a clip, or a few of them, show."""

    objects: tuple[SeenObject, ...] = Field(description="from the top left of the first frame")
    hazard: bool = Field(description="the sign that stands for harmful content is in view")
    signs: tuple[int, ...] = Field(default=(), description="the pictures, from 0 on, in which it is")
    text: bool = Field(description="text is burnt into the picture")
    logo: bool = Field(description="a mark sits in a corner")
    background: tuple[float, float, float] = Field(description="mean levels of red, green, blue, 0 to 255")

    @property
    def contacts(self) -> tuple[float, ...]:
        """The contacts of all objects, in order."""
        return tuple(sorted(t for item in self.objects for t in item.contacts))


class HeardSound(Record):
    """What a sound track holds."""

    silent: bool
    pitch: Pitch | None = None
    onsets: tuple[float, ...] = Field(default=(), description="seconds at which a tone starts")
    alarm: bool = Field(default=False, description="the alarm that stands for harmful content is heard")


class Sighting(SeenPicture, HeardSound):
    """What is seen and heard of one clip, all times from its first frame."""
