"""Buckets: which shape each clip is trained at, or why none fits it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from veo_core.records.clip import MediaFacts
from veo_core.records.dataset import FRAME_STEP, Bucket

Misfit = Literal["aspect", "too_small", "too_short"]

_MENDABLE: tuple[Misfit, ...] = ("aspect", "too_small", "too_short")


@dataclass(frozen=True)
class Shape:
    """What decides on a clip's bucket: pixels, and how many frames it has."""

    width: int
    height: int
    frames: int

    @classmethod
    def of(cls, facts: MediaFacts) -> "Shape":
        return cls(facts.width, facts.height, facts.frames)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


@dataclass(frozen=True)
class Fit:
    """A clip's bucket, or the nearest one with what keeps the clip out of it.

    Attributes:
        bucket: None where there is no bucket at all.
        misfit: None where the clip fits.
        cut: share of the picture that lies outside of the bucket's aspect, 0 to 1.
    """

    bucket: Bucket | None
    misfit: Misfit | None
    cut: float = 0.0


def cut_away(shape: Shape, bucket: Bucket) -> float:
    """The share of a picture that is cut when it fills the bucket, 0 to 1."""
    scale = max(bucket.width / shape.width, bucket.height / shape.height)
    return 1.0 - bucket.width * bucket.height / (scale**2 * shape.width * shape.height)


def choose(shape: Shape, buckets: Sequence[Bucket], max_crop: float) -> Fit:
    """The bucket that keeps the most of a clip: pixels times frames.

    A clip is shrunk and cut to its bucket, never enlarged or prolonged.
    """
    fits: list[tuple[int, float, str, Bucket]] = []
    misfits: list[tuple[int, float, str, Bucket, Misfit]] = []
    for bucket in buckets:
        cut = cut_away(shape, bucket)
        misfit = _misfit(shape, bucket, cut, max_crop)
        if misfit is None:
            kept = bucket.width * bucket.height * bucket.frames
            fits.append((-kept, cut, bucket.name, bucket))
        else:
            misfits.append((_MENDABLE.index(misfit), cut, bucket.name, bucket, misfit))
    if fits:
        _, cut, _, bucket = min(fits, key=lambda fit: fit[:3])
        return Fit(bucket, None, cut)
    if not misfits:
        return Fit(None, "too_small")
    _, cut, _, bucket, misfit = min(misfits, key=lambda fit: fit[:3])
    return Fit(bucket, misfit, cut)


def _misfit(shape: Shape, bucket: Bucket, cut: float, max_crop: float) -> Misfit | None:
    if shape.frames < bucket.frames:
        return "too_short"
    if shape.width < bucket.width or shape.height < bucket.height:
        return "too_small"
    return "aspect" if cut > max_crop else None


def derive(shapes: Counter[Shape], *, side_multiple: int, min_clips: int, max_buckets: int) -> list[Bucket]:
    """Buckets for clips of such shapes, most clips first.

    A shape is rounded down to sides that are multiples of `side_multiple` and to 1 + 4k frames. Shapes of
    fewer than `min_clips` clips get no bucket of their own, except the most frequent one.
    """
    rounded: Counter[tuple[int, int, int]] = Counter()
    for shape, clips in shapes.items():
        sides = [side - side % side_multiple for side in (shape.width, shape.height)]
        frames = shape.frames - (shape.frames - 1) % FRAME_STEP
        if min(sides) > 0:
            rounded[sides[0], sides[1], frames] += clips
    ranked = sorted(rounded.items(), key=lambda entry: (-entry[1], entry[0]))
    return [
        Bucket(width=width, height=height, frames=frames)
        for rank, ((width, height, frames), clips) in enumerate(ranked[:max_buckets])
        if rank == 0 or clips >= min_clips
    ]
