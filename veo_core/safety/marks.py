"""Evidence that generated clips carry their watermark: what is read back against what was put in."""

from collections.abc import Sequence

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.evaluate.intervals import wilson
from veo_core.records.base import Record
from veo_core.records.generated import GeneratedClip
from veo_core.safety.records import Figure
from veo_core.storage import Store
from veo_core.watermark.evidence import read_marks
from veo_core.watermark.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, load_keys


class MarkRead(Record):
    """What was read back from one clip: whether there is a mark, and whether it is the one it was given."""

    clip_id: str
    found: bool
    right: bool
    p_value: float = Field(description="chance that a clip without a mark looks marked like this")
    problem: str = Field(description="why the file could not be read; empty where it could")


def require_keys(clips: Sequence[GeneratedClip]) -> None:
    """See to it that every key which marked a clip is at hand: without it a mark would count as missing.

    Raises:
        UsageError: the environment lacks one, or its keys cannot be used.
    """
    lacking = {clip.mark.key_id for clip in clips if clip.mark} - {key.id for key in load_keys()}
    if lacking:
        raise UsageError(
            f"clips were marked with key {min(lacking)}, which is not at hand: "
            f"give it in {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, as to the stage that generated them"
        )


def read_back(clips: Sequence[GeneratedClip], *, root: str) -> list[MarkRead]:
    """What the files of clips carry.

    Args:
        clips: rows of the table `generated`.
        root: the store's root.
    """
    fields = set(MarkRead.model_fields)
    return [MarkRead(**row.model_dump(include=fields)) for row in read_marks(clips, Store(root))]


def unmarked_figure(rows: Sequence[MarkRead]) -> Figure:
    """How many clips do not give back the payload that leads to their model and prompt."""
    bad = sum(not row.right for row in rows)
    estimate = wilson(bad, len(rows))
    return Figure(
        name="unmarked_outputs",
        bad=bad,
        unanswered=0,
        n=len(rows),
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )
