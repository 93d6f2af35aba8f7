"""What a dataset's training clips are and where they come from, counted in one pass over their table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from veo_core.records.clip import Clip, Source


@dataclass
class Origin:
    """The sources of one kind, and the training clips that were cut from them."""

    sources: int = 0
    clips: int = 0
    seconds: float = 0.0


@dataclass
class Footage:
    """Counts over the training clips.

    Attributes:
        clips: how many there are.
        seconds: length of their pictures.
        sound_seconds: length of their sound.
        captions: how many have a caption.
        words: of all captions, separated by white space.
        origins: by kind of source.
        licences: sources and clips by licence, "not stated" where the rights name none.
        domains: bytes of source files by host of the page that showed them.
        domain_sources: how many sources each host showed.
        writers: captions and descriptions by judge and version.
        permissions: sources by what their rights say of training.
        retrieved: times of retrieval that sources state, ISO 8601.
    """

    clips: int = 0
    seconds: float = 0.0
    sound_seconds: float = 0.0
    captions: int = 0
    words: int = 0
    origins: dict[str, Origin] = field(default_factory=dict)
    licences: dict[str, list[int]] = field(default_factory=dict)
    domains: Counter[str] = field(default_factory=Counter)
    domain_sources: Counter[str] = field(default_factory=Counter)
    writers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    permissions: Counter[str] = field(default_factory=Counter)
    retrieved: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> Self:
        """What the clips for training say of themselves; those for validation are left out."""
        found = cls()
        seen: set[str] = set()
        for clip in clips:
            if clip.split != "train":
                continue
            if clip.source.source_id not in seen:
                seen.add(clip.source.source_id)
                found._add_source(clip.source)
            found._add_clip(clip)
        return found

    def _add_source(self, source: Source) -> None:
        origin = self.origins.setdefault(source.origin, Origin())
        origin.sources += 1
        self.licences.setdefault(_licence(source), [0, 0])[0] += 1
        self.permissions[source.ml_training] += 1
        if host := _host(source.source_url):
            self.domains[host] += source.file.bytes
            self.domain_sources[host] += 1
        if source.retrieved_at:
            self.retrieved.add(source.retrieved_at)

    def _add_clip(self, clip: Clip) -> None:
        origin = self.origins[clip.source.origin]
        origin.clips += 1
        origin.seconds += clip.facts.seconds
        self.licences[_licence(clip.source)][1] += 1
        self.clips += 1
        self.seconds += clip.facts.seconds
        self.sound_seconds += clip.facts.audio_seconds
        if clip.annotation is not None:
            self.captions += 1
            self.words += len(clip.annotation.caption.split())
            self.writers["caption", clip.annotation.judge, clip.annotation.judge_version] += 1
        if clip.description is not None:
            self.writers["description", clip.description.judge, clip.description.judge_version] += 1


def _licence(source: Source) -> str:
    return source.licence_url or source.licence_id or "not stated"


def _host(url: str) -> str:
    """The host of a page without a leading `www.`; empty where the text is no URL."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
