"""The whole stories of clips: what each stage decided on them, what judges said, what they resemble."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from veo_core.errors import UsageError
from veo_core.explorer.clip_index import ClipIndex
from veo_core.explorer.documents import ClipDocument, Neighbour, Said
from veo_core.explorer.gallery import clip_rows
from veo_core.explorer.library import Run
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.lookup import Lookup
from veo_core.lineage.trained import Training, trainings_of
from veo_core.lineage.why import Duplicate, Fate
from veo_core.records.base import Record
from veo_core.records.clip import Clip, NearPair, Source
from veo_core.records.files import TableRef
from veo_core.records.ledger import Decision

_ID = re.compile("[0-9a-f]{64}")

RecordT = TypeVar("RecordT", bound=Record)

Trainings = Callable[[Clip], list[Training]]


def find_clip(index: ClipIndex, query: str) -> str:
    """The id of the clip that `query` begins.

    Raises:
        UsageError: none or several begin so.
    """
    found = index.find(query) if query else []
    if len(found) != 1:
        raise UsageError(f"{query!r} is the start of {len(found)} clips' ids; give the whole of one")
    return str(index.strings("id")[found[0]].as_py())


def clip_document(run: Run, index: ClipIndex, clip: str) -> ClipDocument:
    """A clip's story, with the models of all runs that were trained on it."""
    with Lookup(run.store) as lookup:

        def trainings(found: Clip) -> list[Training]:
            return trainings_of({found.clip_id}, run.runs, run.store, lookup)

        return clip_documents(run, index, [clip], trainings)[0]


def clip_documents(
    run: Run, index: ClipIndex, clips: Sequence[str], trainings: Trainings
) -> list[ClipDocument]:
    """The stories of some clips, in one pass over the run's tables.

    Args:
        run: the run.
        index: of its clips.
        clips: ids, which the index has.
        trainings: tells what was trained on a clip.
    """
    with Lookup(run.store) as lookup:
        return _Stories(run, index, clips, lookup).tell(trainings)


class _Stories:
    """What a run's tables tell of some clips."""

    def __init__(self, run: Run, index: ClipIndex, clips: Sequence[str], lookup: Lookup) -> None:
        self._run, self._index, self._ids, self._lookup = run, index, list(clips), lookup
        self._evidence: Evidence = run.evidence
        places = pc.index_in(pa.array(self._ids), value_set=index.strings("id")).to_numpy()
        self._rows = dict(zip(self._ids, clip_rows(index, places), strict=True))
        owners = index.strings("source_id").take(pa.array(places)).to_pylist()
        self._owner = dict(zip(self._ids, owners, strict=True))
        self._fates = self._decisions({*self._ids, *owners})
        self._copies = [fate for fate in self._decisions(self._dropped_for()) if _is_lost(fate)]
        self._near = self._pairs()
        self._names = self._known_names()

    def tell(self, trainings: Trainings) -> list[ClipDocument]:
        clips, sources = self._clips(), self._sources()
        documents = []
        for clip_id in self._ids:
            clip = clips.get(clip_id)
            source = clip.source if clip else sources.get(self._owner[clip_id])
            documents.append(self._document(clip_id, clip, source, trainings(clip) if clip else []))
        notes = list(dict.fromkeys(self._evidence.notes))
        return [document.model_copy(update={"notes": notes}) for document in documents]

    def _document(
        self, clip_id: str, clip: Clip | None, source: Source | None, trainings: list[Training]
    ) -> ClipDocument:
        row, owner = self._rows[clip_id], self._owner[clip_id]
        fates = [
            fate.model_copy(update={"partner_name": self._names.get(fate.decision.partner, "")})
            for fate in self._fates
            if fate.decision.item in (clip_id, owner)
        ]
        duplicates = [
            Duplicate(clip_id=item, name=self._names.get(item, ""), decision=fate.decision)
            for fate in self._copies
            for item in [fate.decision.item]
            if fate.decision.partner == clip_id
        ]
        note = self._run.store.get_mark(f"forgotten/{owner}") if _ID.fullmatch(owner) else None
        return ClipDocument(
            id=clip_id,
            name=row.name,
            row=row,
            source=source,
            clip=clip,
            media=row.media,
            key_frames=[frame.sha256 for frame in clip.key_frames] if clip else [],
            said=list(_said(clip, source)),
            annotation=clip.annotation if clip else None,
            fates=fates,
            prompts=self._prompts(fate.task for fate in fates),
            duplicates=duplicates,
            neighbours=_neighbours(clip_id, fates, duplicates, self._near, self._names),
            trainings=trainings,
            forgotten=note.decode("utf-8", "replace") if note else "",
            notes=[],
        )

    def _prompts(self, tasks: Iterable[str]) -> dict[str, str]:
        found = {
            stage.task.name: stage.task.parameters.get("config", {}).get("prompt", "")
            for stage in self._evidence.stages
            if isinstance(stage.task.parameters.get("config"), dict)
        }
        return {task: str(found[task]) for task in tasks if found.get(task)}

    def _clips(self) -> dict[str, Clip]:
        """Each clip as the last stage that kept it left it."""
        found: dict[str, Clip] = {}
        for table in reversed(self._tables("clips")):
            left = [clip_id for clip_id in self._ids if clip_id not in found]
            found |= {clip.clip_id: clip for clip in self._records(table, "clip_id", left, Clip)}
        return found

    def _sources(self) -> dict[str, Source]:
        owners = sorted(set(self._owner.values()))
        return {
            source.source_id: source
            for table in self._tables("sources")
            for source in self._records(table, "source_id", owners, Source)
        }

    def _decisions(self, items: Collection[str]) -> list[Fate]:
        return [
            Fate(task=stage.task.name, decision=decision)
            for stage, manifest in self._evidence.with_table("ledger")
            for decision in self._records(manifest.tables["ledger"], "item", sorted(items), Decision)
        ]

    def _dropped_for(self) -> list[str]:
        """Clips that were dropped because they resemble one of these."""
        index = self._index
        resembles = pc.is_in(index.strings("partner"), value_set=pa.array(self._ids))
        found: list[str] = index.strings("id").filter(resembles).to_pylist()
        return found

    def _pairs(self) -> list[NearPair]:
        return [
            pair
            for table in self._tables("near_pairs")[-1:]
            for side in ("first", "second")
            for pair in self._records(table, side, self._ids, NearPair)
        ]

    def _known_names(self) -> dict[str, str]:
        """Names of all other clips that the stories speak of."""
        wanted = {fate.decision.partner for fate in self._fates}
        wanted |= {fate.decision.item for fate in self._copies}
        wanted |= {clip for pair in self._near for clip in (pair.first, pair.second)}
        clips = pa.array(sorted(wanted - {""}), pa.string())
        places = pc.index_in(clips, value_set=self._index.strings("id"))
        names = self._index.strings("name").take(places).to_pylist()
        return {clip: name for clip, name in zip(clips.to_pylist(), names, strict=True) if name}

    def _tables(self, name: str) -> list[TableRef]:
        return [manifest.tables[name] for _, manifest in self._evidence.with_table(name)]

    def _records(
        self, table: TableRef, column: str, values: Sequence[str], record: type[RecordT]
    ) -> list[RecordT]:
        try:
            return list(self._lookup.records(table, column, values, record))
        except (UsageError, OSError, ValueError, pa.ArrowException) as error:
            self._evidence.notes.append(f"table {table.path} cannot be shown: {str(error).splitlines()[0]}")
            return []


def _is_lost(fate: Fate) -> bool:
    return fate.decision.verdict != "kept"


def _said(clip: Clip | None, source: Source | None) -> Iterator[Said]:
    """What came with the footage, and what judges said, in order."""
    if source is not None and source.caption:
        yield Said(by="footage", text=source.caption)
    if source is not None and source.transcript:
        yield Said(by="footage, spoken", text=source.transcript)
    for by, said in (("describe", clip.description), ("annotate", clip.annotation)) if clip else ():
        if said is None:
            continue
        told = said.model_dump(mode="json")
        judge, version = told.pop("judge"), told.pop("judge_version")
        text = told.pop("text", None) or told.pop("caption", "")
        details = {name: value for name, value in told.items() if value not in ("", [], 0)}
        yield Said(by=by, judge=judge, judge_version=version, text=text, details=details)


def _neighbours(
    clip_id: str,
    fates: Sequence[Fate],
    duplicates: Sequence[Duplicate],
    pairs: Sequence[NearPair],
    names: dict[str, str],
) -> list[Neighbour]:
    found: dict[str, Neighbour] = {}
    for pair in pairs:
        if clip_id in (pair.first, pair.second):
            other = pair.second if pair.first == clip_id else pair.first
            found[other] = Neighbour(
                id=other, name=names.get(other, ""), score=pair.score, relation="looks alike"
            )
    for duplicate in duplicates:
        known = found.get(duplicate.clip_id)
        score = known.score if known else _number(duplicate.decision.value)
        found[duplicate.clip_id] = Neighbour(
            id=duplicate.clip_id, name=duplicate.name, score=score, relation="dropped as a copy of this"
        )
    for fate in fates:
        other = fate.decision.partner
        if other and fate.decision.verdict != "kept":
            known = found.get(other)
            found[other] = Neighbour(
                id=other,
                name=fate.partner_name,
                score=known.score if known else _number(fate.decision.value),
                relation="kept in place of this",
            )
    return sorted(found.values(), key=lambda near: (-(near.score or 0.0), near.id))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
