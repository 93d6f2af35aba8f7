"""What dedup measured of like clips, for the report."""

from pydantic import Field

from veo_core.records.base import Record

BINS = 50


class SimilarityReport(Record):
    """Histograms of candidate pairs' likeness, the thresholds, and how many clips each layer dropped.

    Attributes:
        motion: counts of pairs by likeness of motion, in `BINS` equal bins from 0 to 1.
        cosine: likewise by likeness of embeddings.
        thresholds: of the recipe, by name.
        layers: dropped clips by the layer that decided: packets, hash, alignment, judge.
        pairs: numbers of pairs by name: candidates, copies, grey, judged.
    """

    motion: list[int] = Field(min_length=BINS, max_length=BINS)
    cosine: list[int] = Field(min_length=BINS, max_length=BINS)
    thresholds: dict[str, float]
    layers: dict[str, int]
    pairs: dict[str, int]
