"""Forget a source: remove it and all that was made of it from a store and its runs, for good.

Everything that is to be done is noted in the store first, and each step may be done again, so that an attempt
that was killed is finished by the next one.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.lineage.evidence import RECORD
from veo_core.lineage.forget_runs import apply_rewrite, mend_record, plan_rewrite, read_run, scrub_texts
from veo_core.lineage.forget_store import Rewritten, StoreSearch, digests_in
from veo_core.lineage.lookup import Lookup
from veo_core.lineage.traces import Traces
from veo_core.lineage.trained import Training, all_runs, trainings_of
from veo_core.lineage.why import find
from veo_core.records.base import Record, canonical_json
from veo_core.records.run import Change
from veo_core.storage import Store

Discard = Callable[[Callable[[bytes], bool]], int]
"""Drops cached results of tasks whose bytes a function calls stale, and says how many these were."""


class Request(Record):
    """Who wants a source forgotten, when and why; `when` is ISO 8601."""

    when: str
    why: str = ""
    by: str = ""


class Journal(Record):
    """An attempt to forget, noted before anything is changed."""

    request: Request
    traces: Traces
    trainings: list[Training] = Field(default_factory=list)
    others: set[str] = Field(default_factory=set, description="look-alike clips of other sources, which stay")
    replaced: dict[str, Rewritten] = Field(default_factory=dict, description="by an object's old path")
    digests: dict[str, str] = Field(default_factory=dict, description="of manifests, before and after")
    datasets: set[str] = Field(default_factory=set, description="digests that changed datasets had")
    gone: set[str] = Field(default_factory=set, description="paths of further objects to delete")

    @property
    def mark(self) -> str:
        return f"forgetting/{min(self.traces.sources)}"


class Removal(Record):
    """What there is to remove, or was removed."""

    sources: list[str] = Field(description="ids")
    names: list[str]
    clips: int
    objects: int = Field(description="files of the source itself: footage, clips, pictures")
    shared: int = Field(default=0, description="of these, files that other sources share, which stay")
    tables: int
    shards: int
    marks: int
    runs: list[str] = Field(description="runs whose manifests name any of it")
    others: list[str] = Field(description="look-alike clips of other sources, which stay")
    trainings: list[Training] = Field(description="datasets that held it, with the models trained on them")


@dataclass(frozen=True)
class Forgetting:
    """One source to forget.

    Args:
        journal: what is known of it.
        runs: the folder of all runs.
        store: the store.
    """

    journal: Journal
    runs: Path
    store: Store

    @classmethod
    def of(cls, query: str, request: Request, *, runs: Path, store: Store) -> "Forgetting":
        """Find a source and everything that was made of it. Nothing is changed.

        Args:
            query: id of a source, or the start of one, its file's name or sha256, or its page.
            request: who asks.
            runs: the folder of all runs.
            store: the store.

        Raises:
            UsageError: nothing or several things have this name, or it is a clip's.
        """
        search = StoreSearch(store)
        pending = _pending(query, store)
        if pending is not None:
            traces, request = pending.traces, pending.request
        else:
            traces = Traces(sources={_resolve(query, runs, store)})
        learned = search.learn(traces)
        # Other names of the same bytes are the same footage.
        while (same := learned.sources | search.sources_of(learned.files)) != learned.sources:
            learned = search.learn(learned.model_copy(update={"sources": same}))
        journal = pending or Journal(request=request, traces=learned)
        with Lookup(store) as lookup:
            found = trainings_of(learned.clips, runs, store, lookup)
        journal = journal.model_copy(
            update={
                "traces": learned,
                "trainings": _union(journal.trainings, found),
                "others": journal.others | search.others(learned),
            }
        )
        return cls(journal, runs, store)

    def preview(self) -> Removal:
        """What would be removed."""
        search, traces = StoreSearch(self.store), self.journal.traces
        tables, shards = search.tables(traces), search.shards(traces)
        touched = {path.rsplit("/", 1)[-1].split(".")[0] for path in (*tables, *shards)}
        runs = [
            evidence.folder.name
            for evidence in all_runs(self.runs, self.store)
            if any(s.manifest and touched & digests_in(s.manifest.to_bytes()) for s in evidence.stages)
        ]
        shared = search.shared(traces, set(tables))
        return self._removal(len(tables), len(shards), len(search.marks(traces)), len(shared), runs)

    def execute(self, discard: Discard) -> Removal:
        """Remove it all, for good.

        Args:
            discard: drops results of tasks from the runner's cache.
        """
        store, search = self.store, StoreSearch(self.store)
        journal = self.journal
        traces = journal.traces
        self._save(journal)
        for identity in (*traces.sources, *traces.files):
            store.set_mark(f"forgotten/{identity}", self._note(journal, None))

        tables, shards = search.tables(traces), search.shards(traces)
        replaced = dict(journal.replaced)
        replaced |= {path: search.rewrite_table(path, traces) for path in tables}
        replaced |= {path: search.rewrite_shard(path, traces) for path in shards}
        journal = journal.model_copy(
            update={"replaced": replaced, "gone": journal.gone | set(search.texts(traces))}
        )
        self._save(journal)

        changed = []
        for folder in self._folders():
            mend_record(folder, journal.digests, self._change(journal))
            evidence = read_run(folder, store)
            rewrite = plan_rewrite(evidence, replaced, journal.gone, journal.datasets, store)
            journal = journal.model_copy(
                update={
                    "digests": journal.digests | rewrite.digests,
                    "datasets": journal.datasets | rewrite.datasets,
                    "gone": journal.gone | rewrite.stale,
                }
            )
            if rewrite.manifests:
                self._save(journal)
                apply_rewrite(folder, rewrite, self._change(journal, rewrite.digests))
                changed.append(folder.name)

        stale = {_digest_of(path) for path in (*replaced, *journal.gone, *traces.objects)}
        discard(lambda data: bool(digests_in(data) & stale))
        marks = search.marks(traces)
        for mark in marks:
            store.remove_mark(mark)
        shared = self._delete(journal, search)
        for folder in self._folders():
            scrub_texts(folder, traces.identifiers | traces.names)

        removal = self._removal(len(tables), len(shards), len(marks), len(shared), changed)
        for identity in (*traces.sources, *traces.files):
            store.set_mark(f"forgotten/{identity}", self._note(journal, removal))
        store.remove_mark(journal.mark)
        return removal

    def _delete(self, journal: Journal, search: StoreSearch) -> set[str]:
        """Delete objects; the paths of those that stay because others share them come back."""
        fresh = {change.ref.path for change in journal.replaced.values() if change.ref is not None}
        named = {
            ref.path
            for evidence in all_runs(self.runs, self.store)
            for stage in evidence.stages
            if stage.manifest is not None
            for ref in (
                *stage.manifest.tables.values(),
                *stage.manifest.files.values(),
                *stage.manifest.shards,
            )
        }
        for path in (set(journal.replaced) | journal.gone | set(search.scratch())) - fresh - named:
            self.store.remove_object(path)
        shared = search.shared(journal.traces, set())
        for path in set(journal.traces.objects) - shared:
            self.store.remove_object(path)
        for path in self.store.objects():
            if Path(path).name.startswith("."):
                self.store.remove_object(path)
        return shared

    def _removal(self, tables: int, shards: int, marks: int, shared: int, runs: list[str]) -> Removal:
        traces = self.journal.traces
        return Removal(
            sources=sorted(traces.sources),
            names=sorted(traces.names),
            clips=len(traces.clips),
            objects=len(traces.objects),
            shared=shared,
            tables=tables,
            shards=shards,
            marks=marks,
            runs=runs,
            others=sorted(self.journal.others),
            trainings=self.journal.trainings,
        )

    def _note(self, journal: Journal, removal: Removal | None) -> bytes:
        """What a `forgotten` mark says: nothing that tells what the source showed."""
        done = removal.model_dump(mode="json", exclude={"names"}) if removal else None
        return canonical_json(journal.request.model_dump(mode="json") | {"removed": done})

    def _change(self, journal: Journal, digests: dict[str, str] | None = None) -> Change:
        sources = ", ".join(sorted(journal.traces.sources))
        return Change(
            when=journal.request.when,
            why=f"forgot source {sources}: {journal.request.why}".rstrip(": "),
            digests=digests if digests is not None else journal.digests,
        )

    def _folders(self) -> list[Path]:
        return sorted(path.parent for path in self.runs.glob(f"*/{RECORD}"))

    def _save(self, journal: Journal) -> None:
        self.store.set_mark(journal.mark, journal.to_bytes())


def _resolve(query: str, runs: Path, store: Store) -> str:
    """The id of the source that `query` names, in any run or in the store itself."""
    found: dict[str, str] = {}
    with Lookup(store) as lookup:
        for evidence in all_runs(runs, store):
            for match in find(query, evidence, lookup):
                if match.kind == "clip":
                    raise UsageError(
                        f"{query!r} is a clip; what is forgotten is its source: veo forget {match.source}"
                    )
                if match.kind == "source":
                    found[match.source] = match.name
    if not found:
        found = dict.fromkeys(StoreSearch(store).sources_named(query), "")
    exact = {source for source, name in found.items() if query in (source, name)} or set(found)
    if len(exact) == 1:
        return exact.pop()
    if exact:
        listed = ", ".join(f"{source[:12]} ({found[source]})" for source in sorted(exact)[:8])
        raise UsageError(f"{query!r} fits {len(exact)} sources: {listed}; give more of one")
    note = store.get_mark(f"forgotten/{query}")
    if note is not None:
        raise UsageError(f"{query} is forgotten already, since {json.loads(note)['when']}")
    raise UsageError(f"{query!r} names no source in store {store.root} or in a run of {runs}")


def _pending(query: str, store: Store) -> Journal | None:
    """The journal of an attempt on this source that did not get to its end."""
    for key in store.marks():
        if key.startswith("forgetting/"):
            journal = Journal.model_validate_json(store.get_mark(key) or b"")
            traces = journal.traces
            by_id = any(source.startswith(query) for source in traces.sources)
            if by_id or query in traces.names | traces.files:
                return journal
    return None


def _union(known: list[Training], found: list[Training]) -> list[Training]:
    """Trainings of an earlier attempt stand: what it changed cannot be found again."""
    seen = {(training.run, training.dataset) for training in known}
    return [*known, *(training for training in found if (training.run, training.dataset) not in seen)]


def _digest_of(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".")[0]
