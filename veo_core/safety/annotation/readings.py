"""What raters say of the people in clips."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from veo_core.evaluate.rating_page import MOST_LETTERS
from veo_core.records.journal import read_records
from veo_core.safety.people import PersonReading


class Reading(PersonReading):
    """What one rater says of the person in one clip."""

    rater: str = Field(min_length=1, max_length=MOST_LETTERS)
    seconds: float = Field(ge=0, description="from showing the clip to the answer")
    watched: bool = Field(description="the clip was played to its end")
    heard: bool = Field(description="with sound")


def read_readings(path: Path) -> list[Reading]:
    """The readings of a file; of several of a rater on one clip the last.

    Raises:
        UsageError: the file cannot be read, or a line other than the last is no reading.
    """
    rows = read_records(path, Reading, what="reading")
    return list({(row.rater, row.clip_id): row for row in rows}.values())


def consensus(readings: Sequence[Reading]) -> list[PersonReading]:
    """One reading a clip: the (lower) median of the tones, and a presentation on which all agree.

    Raters who cannot tell are left out; what none can tell is unknown.
    """
    clips: dict[str, list[Reading]] = {}
    for reading in readings:
        clips.setdefault(reading.clip_id, []).append(reading)
    found = []
    for clip_id, rows in clips.items():
        tones = [row.skin_tone for row in rows if row.skin_tone]
        seen = {row.presentation for row in rows if row.presentation != "unknown"}
        found.append(
            PersonReading(
                clip_id=clip_id,
                skin_tone=statistics.median_low(tones) if tones else 0,
                presentation=seen.pop() if len(seen) == 1 else "unknown",
            )
        )
    return found
