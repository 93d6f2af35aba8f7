"""What a packaged dataset is: its buckets, where its shards are, and how well its filters work."""

from typing import Self

from pydantic import Field, model_validator

from veo_core.records.base import Record
from veo_core.records.clip import Split
from veo_core.records.files import FileRef

FRAME_STEP = 4
"""A clip has 1 + 4k frames: the video autoencoder keeps the first frame apart and takes four at a time."""


class Bucket(Record):
    """A shape that training clips are brought to, by shrinking and cutting alone."""

    width: int = Field(gt=0, description="pixels")
    height: int = Field(gt=0, description="pixels")
    frames: int = Field(gt=0, description=f"1 + {FRAME_STEP}k, from the clip's first frame on")

    @model_validator(mode="after")
    def _check_frames(self) -> Self:
        if self.frames % FRAME_STEP != 1:
            raise ValueError(f"frames must be 1 + {FRAME_STEP}k, not {self.frames}")
        return self

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


class PackedBucket(Bucket):
    """A bucket with the clips that it got."""

    seconds: float = Field(description="from the first to the last frame; the sound covers at least this")
    train_clips: int
    validation_clips: int


class DatasetSpec(Record):
    """What the clips of a packaged dataset are; file `spec.json` of its manifest."""

    fps: float
    audio_rate: int
    buckets: list[PackedBucket] = Field(description="most training clips first")

    @property
    def largest(self) -> PackedBucket:
        """The bucket with the most training clips."""
        return self.buckets[0]


class Shard(Record):
    """A WebDataset shard; row of the table `shards`."""

    name: str
    split: Split
    bucket: str
    clips: int
    file: FileRef


class FilterQuality(Record):
    """How well a filter of the curation was found to work, on footage of which the truth is known.

    Row of the table `filter_quality`.
    """

    filter: str
    precision: float = Field(ge=0, le=1, description="share of what it dropped that it should drop")
    recall: float = Field(ge=0, le=1, description="share of what it should drop that it dropped")
    n: int = Field(ge=1, description="clips that it was measured on")
    evidence: str = Field(description="what measured it, such as a benchmark's file and its sha256")
