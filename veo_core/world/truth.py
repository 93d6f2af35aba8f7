"""What is filmed, and the record of what was: truth that is kept apart from the footage."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from veo_core.records.base import Record
from veo_core.world.attributes import SceneAttributes

Flaw = Literal[
    "exact_duplicate",
    "reencoded",
    "cropped",
    "letterboxed",
    "flipped",
    "retimed",
    "logo",
    "two_shots",
    "blurred",
    "too_dark",
    "too_bright",
    "static",
    "silent",
    "clipped_sound",
    "out_of_sync",
    "burnt_in_text",
    "harmful",
    "rights_missing",
    "rights_denied",
    "too_short",
    "too_long",
    "oversized",
    "variable_frame_rate",
    "corrupt",
    "truncated",
]
FLAWS: tuple[Flaw, ...] = get_args(Flaw)
DUPLICATES: tuple[Flaw, ...] = FLAWS[:7]

Expected = Literal["kept", "dropped", "failed"]


def expected_verdict(flaw: Flaw | None) -> Expected:
    """What a pipeline should do with a file. Shots are split and a varying frame rate is handled: kept."""
    if flaw in (None, "two_shots", "variable_frame_rate"):
        return "kept"
    return "failed" if flaw in ("corrupt", "truncated") else "dropped"


class WorldSpec(Record):
    """What to film. Clip `index` of a spec depends on nothing but the spec and the index."""

    clips: int = Field(default=200, ge=1, description="number of files")
    seed: int = Field(default=0, ge=0, description="seed of everything random")
    flaws: float = Field(default=0.0, ge=0.0, le=1.0, description="share of files with a flaw")
    flaw_weights: dict[Flaw, float] = Field(
        default_factory=dict, description="relative share of each flaw; all the same where empty"
    )
    two_objects: float = Field(default=0.2, ge=0.0, le=1.0, description="share of scenes with two objects")
    width: int = Field(default=128, ge=32, le=2048, multiple_of=2, description="pixels")
    height: int = Field(default=128, ge=32, le=2048, multiple_of=2, description="pixels")
    fps: float = Field(default=16.0, ge=4.0, le=60.0, description="frames per second")
    seconds: float = Field(default=2.5, ge=2.0, le=60.0, description="length of a file without a flaw")
    excerpt: float = Field(
        default=2.0,
        ge=2.0,
        description="seconds from the start that a training clip covers; no contact falls on its end",
    )
    audio_rate: int = Field(default=48_000, ge=8_000, le=96_000, description="samples per second")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.excerpt > self.seconds:
            raise ValueError(f"excerpt ({self.excerpt} s) is longer than the clip ({self.seconds} s)")
        if not all(weight >= 0 for weight in self.flaw_weights.values()):
            raise ValueError("flaw_weights: a weight is negative")
        if self.flaw_weights and not any(self.flaw_weights.values()):
            raise ValueError("flaw_weights: at least one weight must be above 0")
        return self


class Shot(Record):
    """A part of a file without a cut. start and seconds are on the file's clock, contacts on the shot's."""

    start: float
    seconds: float
    attributes: SceneAttributes
    contacts: tuple[float, ...] = Field(description="seconds at which an object touches a wall, in order")


class Truth(Record):
    """What one file shows and what is wrong with it, as the studio knows it.

    A corrupt or truncated file's shots are those of the file before it was damaged.
    """

    name: str = Field(description="file name in the footage folder")
    index: int
    scene: int = Field(description="index of the clip whose scene this is; another one's for a duplicate")
    flaw: Flaw | None = None
    detail: str = Field(default="", description="the flaw's parameters, for a reader")
    expected: Expected
    partner: str = Field(default="", description="file name of the clip that a duplicate copies")
    shots: tuple[Shot, ...]
    onsets: tuple[float, ...] = Field(description="seconds at which a tone starts, on the file's clock")


def clip_name(index: int) -> str:
    """The file name of clip `index`; it says nothing about flaws."""
    return f"clip-{index:06d}.mp4"
