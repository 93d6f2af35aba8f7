"""Where the clips of a dataset come from."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from veo_core.records.clip import Clip


@dataclass
class Origins:
    """Clips by licence, author, origin and split, and what described them."""

    licences: Counter[str] = field(default_factory=Counter)
    authors: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    judges: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> Self:
        """What the clips say of themselves."""
        found = cls()
        for clip in clips:
            source = clip.source
            found.licences[source.licence_url or source.licence_id or "not stated"] += 1
            found.authors[source.author] += 1
            found.origins[source.origin] += 1
            found.splits[clip.split or ""] += 1
            found.seconds += clip.facts.seconds
            for note in (clip.description, clip.annotation):
                if note is not None:
                    found.judges[f"{note.judge} ({note.judge_version})"] += 1
        return found
