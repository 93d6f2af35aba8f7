"""Why a clip or a source ended where it did: everything that a run, its store and later runs know of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.compute as pc
from pydantic import Field

from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence, StageEvidence, gather
from veo_core.lineage.lookup import Lookup, begins
from veo_core.lineage.trained import Training, trainings_of
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Source
from veo_core.records.files import TableRef
from veo_core.records.generated import GeneratedClip
from veo_core.records.ledger import Decision
from veo_core.storage import Store

_LISTED = 8
_WHOLE = 64


class Fate(Record):
    """What one stage decided, and the name and fate of the clip that it compared with."""

    task: str
    decision: Decision
    partner_name: str = Field(default="", description="file name of the partner's source")


class Duplicate(Record):
    """A clip that was dropped because it resembles this one."""

    clip_id: str
    name: str
    decision: Decision


class ClipStory(Record):
    """One clip, as the last stage that kept it left it."""

    clip_id: str
    clip: Clip | None = Field(default=None, description="None where no stage kept it")
    fates: list[Fate] = Field(default_factory=list)
    duplicates: list[Duplicate] = Field(default_factory=list)
    trainings: list[Training] = Field(default_factory=list)


class Story(Record):
    """A source with its clips, or with the one that was asked for."""

    run: str
    source_id: str
    source: Source | None = Field(default=None, description="None where collect did not keep it")
    forgotten: str = Field(default="", description="the note of `veo forget`, JSON")
    fates: list[Fate] = Field(default_factory=list)
    clips: list[ClipStory] = Field(default_factory=list)
    generated: GeneratedClip | None = Field(default=None, description="set for a generated clip")
    unknown: list[str] = Field(default_factory=list, description="stages that published nothing, and why")


@dataclass(frozen=True)
class Match:
    """Something that a query names: a clip, a source or a generated clip; `source` is the source's id."""

    kind: Literal["clip", "source", "generated"]
    item: str
    source: str
    name: str = ""


def explain(query: str, *, run: Path, runs: Path, store: Store) -> Story:
    """The story of what `query` names.

    Args:
        query: an id of a clip, a source or a generated clip, or the start of one; a file's name, sha256 or
            page.
        run: the folder of the run to look at.
        runs: the folder of all runs, for the models that were trained on the clip.
        store: where the run's data is.

    Raises:
        UsageError: nothing has this name, or several things have.
    """
    with Lookup(store) as lookup:
        return _Inquiry(gather(run, store), runs, lookup).story(query)


class _Inquiry:
    def __init__(self, evidence: Evidence, runs: Path, lookup: Lookup) -> None:
        self._evidence = evidence
        self._store = evidence.store
        self._runs = runs
        self._lookup = lookup

    def story(self, query: str) -> Story:
        match = self._resolve(query)
        unknown = [
            f"{stage.task.name}: {stage.task.state.lower()} {stage.task.reason or stage.problem}".strip()
            for stage in self._evidence.stages
            if stage.manifest is None
        ]
        run = self._evidence.folder.name
        if match.kind == "generated":
            return Story(run=run, source_id="", generated=self._generated(match.item), unknown=unknown)
        mark = self._store.get_mark(f"forgotten/{match.source}")
        clips = [match.item] if match.kind == "clip" else self._clips_of(match.source)
        return Story(
            run=run,
            source_id=match.source,
            source=self._source(match.source),
            forgotten=mark.decode() if mark else "",
            fates=list(self._fates(match.source)),
            clips=[self._clip(clip_id) for clip_id in clips],
            unknown=unknown,
        )

    def _resolve(self, query: str) -> Match:
        found = {(match.kind, match.item): match for match in find(query, self._evidence, self._lookup)}
        if not found:
            raise UsageError(
                f"{query!r} names no clip and no source of run {self._evidence.folder.name}; give an id, the "
                "start of one, a file's name or the address of its page"
            )
        exact = [match for match in found.values() if query in (match.item, match.name)]
        matches = exact or list(found.values())
        if len(matches) > 1:
            listed = ", ".join(
                f"{match.kind} {match.item[:12]}" + (f" ({match.name})" if match.name else "")
                for match in matches[:_LISTED]
            )
            more = ", ..." if len(matches) > _LISTED else ""
            raise UsageError(f"{query!r} fits {len(matches)}: {listed}{more}; give more of one")
        return matches[0]

    def _source(self, source_id: str) -> Source | None:
        for _, table in _tables(self._evidence, "sources"):
            for source in self._lookup.records(table, "source_id", [source_id], Source):
                return source
        return None

    def _clips_of(self, source_id: str) -> list[str]:
        """The clips of a source: the first stage that decides on clips decides on all of them."""
        is_clip = (pc.field("source") == source_id) & (pc.field("item") != source_id)
        for _, ledger in _tables(self._evidence, "ledger"):
            found = [item for (item,) in self._lookup.matching(ledger, is_clip, ["item"])]
            if found:
                return sorted(found)
        return []

    def _clip(self, clip_id: str) -> ClipStory:
        clip = self._last_version(clip_id)
        return ClipStory(
            clip_id=clip_id,
            clip=clip,
            fates=list(self._fates(clip_id)),
            duplicates=list(self._duplicates(clip_id)),
            trainings=trainings_of({clip_id}, self._runs, self._store, self._lookup)
            if clip is not None
            else [],
        )

    def _last_version(self, clip_id: str) -> Clip | None:
        for _, table in reversed(list(_tables(self._evidence, "clips"))):
            for clip in self._lookup.records(table, "clip_id", [clip_id], Clip):
                return clip
        return None

    def _fates(self, item: str) -> Iterator[Fate]:
        for stage, ledger in _tables(self._evidence, "ledger"):
            for decision in self._lookup.records(ledger, "item", [item], Decision):
                name = self._name(decision.partner) if decision.partner else ""
                yield Fate(task=stage.task.name, decision=decision, partner_name=name)

    def _duplicates(self, clip_id: str) -> Iterator[Duplicate]:
        for _, ledger in _tables(self._evidence, "ledger"):
            for decision in self._lookup.records(ledger, "partner", [clip_id], Decision):
                if decision.verdict != "kept":
                    name = self._name(decision.item)
                    yield Duplicate(clip_id=decision.item, name=name, decision=decision)

    def _name(self, clip_id: str) -> str:
        """The file name of a clip's source."""
        for _, table in _tables(self._evidence, "clips"):
            for clip in self._lookup.records(table, "clip_id", [clip_id], Clip):
                return clip.source.name
        return ""

    def _generated(self, clip_id: str) -> GeneratedClip | None:
        for _, table in _tables(self._evidence, "generated"):
            for clip in self._lookup.records(table, "clip_id", [clip_id], GeneratedClip):
                return clip
        return None


def find(query: str, evidence: Evidence, lookup: Lookup) -> Iterator[Match]:
    """Everything in a run that `query` names; one thing may come several times."""
    found = False
    if re.fullmatch(r"[0-9a-f]{3,64}", query):
        for match in _by_id(query, evidence, lookup):
            found = True
            yield match
    if not found:
        yield from _by_name(query, evidence, lookup)


def _by_id(prefix: str, evidence: Evidence, lookup: Lookup) -> Iterator[Match]:
    found = False
    for _, ledger in _tables(evidence, "ledger"):
        for item, source in lookup.matching(ledger, begins("item", prefix), ["item", "source"]):
            found = True
            yield Match("source" if item == source else "clip", item, source)
    for _, table in _tables(evidence, "generated"):
        for clip_id, prompt in lookup.matching(table, begins("clip_id", prefix), ["clip_id", "prompt"]):
            yield Match("generated", clip_id, "", prompt)
    if len(prefix) == _WHOLE:
        for _, table in _tables(evidence, "sources"):
            is_file = pc.field("file", "sha256") == prefix
            for source, name in lookup.matching(table, is_file, ["source_id", "name"]):
                yield Match("source", source, source, name)
    if not found:
        # The run begins with clips: no table is in the order of sources.
        for _, ledger in _tables(evidence, "ledger"):
            for (source,) in lookup.matching(ledger, begins("source", prefix), ["source"]):
                yield Match("source", source, source)


def _by_name(query: str, evidence: Evidence, lookup: Lookup) -> Iterator[Match]:
    for _, table in _tables(evidence, "sources"):
        name, url = pc.field("name"), pc.field("source_url")
        named = (name == query) | (url == query) | pc.ends_with(name, f"/{query}")
        for source, found in lookup.matching(table, named, ["source_id", "name"]):
            yield Match("source", source, source, found)
    for stage, ledger in _tables(evidence, "ledger"):
        if stage.manifest is not None and "sources" in stage.manifest.tables:
            told = pc.field("evidence")
            named = (told == query) | pc.starts_with(told, f"{query}:")
            for item, source in lookup.matching(ledger, named, ["item", "source"]):
                yield Match("source", item, source, query)


def _tables(evidence: Evidence, name: str) -> Sequence[tuple[StageEvidence, TableRef]]:
    """The tables of a name, in the order of the run."""
    return [(stage, manifest.tables[name]) for stage, manifest in evidence.with_table(name)]
