"""Which of a video's files to download."""

from collections.abc import Sequence

from veo_core.records.base import Record


class Rendition(Record):
    """One file of a video; figures that are not known are 0."""

    url: str
    width: int = 0
    height: int = 0
    bytes: int = 0

    @property
    def short_side(self) -> int:
        """Pixels."""
        return min(self.width, self.height)


def choose(renditions: Sequence[Rendition], min_short_side: int) -> Rendition:
    """The smallest rendition whose short side is long enough for training, else the largest.

    Decoding costs grow with the pixels, and what training does not need is thrown away.
    """
    enough = [rendition for rendition in renditions if rendition.short_side >= min_short_side]
    if enough:
        return min(enough, key=lambda rendition: (rendition.width * rendition.height, rendition.bytes))
    return max(renditions, key=lambda rendition: (rendition.short_side, rendition.width * rendition.height))
