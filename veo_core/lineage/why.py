"""Why a clip or a source ended where it did: everything that a run, its store and later runs know of it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.evaluate.records import ClipScore
from veo_core.lineage.evidence import Evidence, StageEvidence, gather
from veo_core.lineage.lookup import Lookup, begins, ends, equals
from veo_core.lineage.told import Told, not_known
from veo_core.lineage.trained import Training, Trainings
from veo_core.records.base import Record
from veo_core.records.clip import Clip, Source
from veo_core.records.files import TableRef
from veo_core.records.generated import GeneratedClip
from veo_core.records.ledger import Decision
from veo_core.storage import Store

RecordT = TypeVar("RecordT", bound=Record)

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


class Story(Told):
    """A source with its clips, or with the one that was asked for; or a generated clip."""

    source_id: str = Field(description="empty for a generated clip")
    source: Source | None = Field(default=None, description="None where collect did not keep it")
    forgotten: str = Field(default="", description="the note of `veo forget`, JSON")
    fates: list[Fate] = Field(default_factory=list)
    clips: list[ClipStory] = Field(default_factory=list)
    trainings: list[Training] = Field(
        default_factory=list,
        description="every dataset of all runs with a clip of the source, and its models",
    )
    generated: GeneratedClip | None = Field(default=None, description="set for a generated clip")
    score: ClipScore | None = Field(default=None, description="what was measured on a generated clip")
    models: list[str] = Field(
        default_factory=list, description="registered models that a generated clip is of"
    )


@dataclass(frozen=True)
class Match:
    """Something that a query names: a clip, a source or a generated clip; `source` is the source's id."""

    kind: Literal["clip", "source", "generated"]
    item: str
    source: str
    name: str = ""

    @property
    def title(self) -> str:
        """What lists of several things call it."""
        return f"{self.kind} {self.item[:12]}" + (f" ({self.name})" if self.name else "")


def explain(query: str, *, run: Path, runs: Path, store: Store) -> Story:
    """The story of the clip, source or generated clip that `query` names.

    Args:
        query: an id of a clip, a source or a generated clip, or the start of one; a file's name, sha256 or
            page.
        run: the folder of the run to look at.
        runs: the folder of all runs, for the models that were trained on the clip.
        store: where the run's data is.

    Raises:
        UsageError: nothing has this name, or several things have.
    """
    with Lookup(store, forgiving=True) as lookup:
        evidence = gather(run, store)
        matches = distinct(find(query, evidence, lookup))
        if not matches:
            raise UsageError(
                f"{query!r} names no clip and no source of run {run.name}; give an id, the start of one, a "
                "file's name or the address of its page"
            )
        meant = [match for match in matches if query in (match.item, match.name)] or matches
        if len(meant) > 1:
            raise several(query, [match.title for match in meant])
        return tell(meant[0], evidence, Trainings(runs, store, lookup), lookup)


def several(query: str, titles: Sequence[str]) -> UsageError:
    """What to say where a query fits more than one thing."""
    listed = ", ".join(titles[:_LISTED]) + (", ..." if len(titles) > _LISTED else "")
    return UsageError(f"{query!r} fits {len(titles)}: {listed}; give more of one")


def distinct(matches: Iterator[Match]) -> list[Match]:
    """Each thing once, however often it was found."""
    return list({(match.kind, match.item): match for match in matches}.values())


def tell(match: Match, evidence: Evidence, trainings: Trainings, lookup: Lookup) -> Story:
    """The story of what was found."""
    return _Inquiry(evidence, trainings, lookup).story(match)


class _Inquiry:
    def __init__(self, evidence: Evidence, trainings: Trainings, lookup: Lookup) -> None:
        self._evidence = evidence
        self._store = evidence.store
        self._trainings = trainings
        self._lookup = lookup

    def story(self, match: Match) -> Story:
        if match.kind == "generated":
            return self._generated(match.item)
        mark = self._store.get_mark(f"forgotten/{match.source}")
        clips = [match.item] if match.kind == "clip" else self._clips_of(match.source)
        told = [self._clip(clip_id) for clip_id in clips]
        known = self._trainings.of_sources({match.source})
        return self._story(
            source_id=match.source,
            source=self._source(match.source),
            forgotten=mark.decode() if mark else "",
            fates=list(self._fates(match.source)),
            clips=told,
            trainings=_with_forgotten(known, mark),
        )

    def _story(self, **fields: object) -> Story:
        run = self._evidence.run
        return Story.model_validate(
            {
                "run": self._evidence.folder.name,
                "state": run.state if run is not None else None,
                **fields,
                "unknown": list(
                    dict.fromkeys(
                        [*not_known(self._evidence), *self._trainings.notes, *self._lookup.problems]
                    )
                ),
            }
        )

    def _source(self, source_id: str) -> Source | None:
        for _, table in tables(self._evidence, "sources"):
            for source in self._records(table, "source_id", source_id, Source):
                return source
        return None

    def _clips_of(self, source_id: str) -> list[str]:
        """The clips of a source: the first stage that decides on clips decides on all of them."""
        for _, ledger in tables(self._evidence, "ledger"):
            items = self._texts(ledger, "source", source_id, "item")
            found = sorted(set(items) - {source_id})
            if found:
                return found
        return []

    def _clip(self, clip_id: str) -> ClipStory:
        fates = list(self._fates(clip_id))
        clip = self._last_version(clip_id, {fate.task for fate in fates if fate.decision.verdict == "kept"})
        return ClipStory(
            clip_id=clip_id,
            clip=clip,
            fates=fates,
            duplicates=list(self._duplicates(clip_id)),
            trainings=self._trainings.of_clips({clip_id}) if clip is not None else [],
        )

    def _last_version(self, clip_id: str, kept_by: set[str]) -> Clip | None:
        for stage, table in reversed(list(tables(self._evidence, "clips"))):
            if stage.task.name in kept_by or not kept_by:
                for clip in self._records(table, "clip_id", clip_id, Clip):
                    return clip
        return None

    def _fates(self, item: str) -> Iterator[Fate]:
        for stage, ledger in tables(self._evidence, "ledger"):
            for decision in self._records(ledger, "item", item, Decision):
                name = self._name(decision.partner) if decision.partner else ""
                yield Fate(task=stage.task.name, decision=decision, partner_name=name)

    def _duplicates(self, clip_id: str) -> Iterator[Duplicate]:
        for _, ledger in tables(self._evidence, "ledger"):
            for decision in self._records(ledger, "partner", clip_id, Decision):
                if decision.verdict != "kept":
                    name = self._name(decision.item)
                    yield Duplicate(clip_id=decision.item, name=name, decision=decision)

    def _name(self, clip_id: str) -> str:
        """The file name of a clip's source."""
        for _, table in tables(self._evidence, "clips"):
            for name in self._texts(table, "clip_id", clip_id, "source.name"):
                return name
        return ""

    def _generated(self, clip_id: str) -> Story:
        clips = [
            (clip, stage.manifest.digest)
            for stage, table in tables(self._evidence, "generated")
            for clip in self._records(table, "clip_id", clip_id, GeneratedClip)
            if stage.manifest is not None
        ]
        scores = [
            score
            for _, table in tables(self._evidence, "scores")
            for score in self._records(table, "clip_id", clip_id, ClipScore)
            if score.group == "generated"
        ]
        return self._story(
            source_id="",
            generated=clips[0][0] if clips else None,
            score=scores[0] if scores else None,
            models=self._trainings.registered_with("generated", clips[0][1]) if clips else [],
        )

    def _records(self, table: TableRef, column: str, value: str, record: type[RecordT]) -> list[RecordT]:
        return self._lookup.records(table, column, [value], record)

    def _texts(self, table: TableRef, column: str, value: str, wanted: str) -> list[str]:
        """`wanted` of the rows whose `column` is `value`."""
        return [found for (found,) in self._lookup.matching(table, equals(column, value), [wanted])]


def _with_forgotten(known: list[Training], mark: bytes | None) -> list[Training]:
    """What is known now, and before it what held the source until it was forgotten."""
    removed = json.loads(mark).get("removed") if mark else None
    before = [Training.model_validate(training) for training in removed["trainings"]] if removed else []
    return [*before, *(training for training in known if training not in before)]


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
    for _, ledger in tables(evidence, "ledger"):
        for item, source in lookup.matching(ledger, begins("item", prefix), ["item", "source"]):
            found = True
            yield Match("source" if item == source else "clip", item, source)
    for _, table in tables(evidence, "generated"):
        for clip_id, prompt in lookup.matching(table, begins("clip_id", prefix), ["clip_id", "prompt"]):
            yield Match("generated", clip_id, "", prompt)
    if len(prefix) == _WHOLE:
        for _, table in tables(evidence, "sources"):
            for source, name in lookup.matching(table, equals("file.sha256", prefix), ["source_id", "name"]):
                yield Match("source", source, source, name)
    if not found:
        # The run begins with clips: no table is in the order of sources.
        for _, ledger in tables(evidence, "ledger"):
            for (source,) in lookup.matching(ledger, begins("source", prefix), ["source"]):
                yield Match("source", source, source)


def _by_name(query: str, evidence: Evidence, lookup: Lookup) -> Iterator[Match]:
    for _, table in tables(evidence, "sources"):
        for named in (equals("name", query), equals("source_url", query), ends("name", f"/{query}")):
            for source, found in lookup.matching(table, named, ["source_id", "name"]):
                yield Match("source", source, source, found)
    for stage, ledger in tables(evidence, "ledger"):
        if stage.manifest is not None and "sources" in stage.manifest.tables:
            for told in (equals("evidence", query), begins("evidence", f"{query}:")):
                for item, source in lookup.matching(ledger, told, ["item", "source"]):
                    yield Match("source", item, source, query)


def tables(evidence: Evidence, name: str) -> Sequence[tuple[StageEvidence, TableRef]]:
    """The tables of a name, in the order of the run."""
    return [(stage, manifest.tables[name]) for stage, manifest in evidence.with_table(name)]
