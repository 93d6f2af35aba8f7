"""Everything that `veo why` is asked: a model, an artifact, a source, a clip, in the latest run or in any."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.lineage.evidence import RECORD, Evidence, gather
from veo_core.lineage.lookup import Lookup
from veo_core.lineage.trained import Trainings
from veo_core.lineage.why import Match, Story, distinct, find, several, tell
from veo_core.lineage.why_artifact import Artifact, ArtifactStory, find_artifacts, tell_artifact
from veo_core.lineage.why_model import ModelStory, tell_model
from veo_core.registry import local as registry
from veo_core.registry.local import LogLine
from veo_core.storage import Store

Answer = Story | ModelStory | ArtifactStory

_REFERENCE = re.compile(r"[a-z][a-z0-9-]*@(default|latest|[1-9][0-9]*)")
_DIGEST = re.compile(r"(sha256:)?([0-9a-f]{3,64})")
_TELLING = 12  # digits of a digest by which a model is found
_LISTED = 8


def answer(
    query: str,
    *,
    runs: Path,
    store: Store,
    run: Path | None = None,
    is_alive: Callable[[Path], bool],
) -> Answer:
    """The whole story of what `query` names.

    Args:
        query: `NAME@VERSION`, `NAME@default` or `NAME` of a registered model; the sha256 of anything that a
            run made, or the start of one; an id of a clip or a source, or the start of one; a source's file
            name or the address of its page.
        runs: the folder of all runs.
        store: where their data and the registry are.
        run: the folder of the run to look in; all runs, the latest first, where None. A model is looked for
            in the registry alone.
        is_alive: whether the runner of a run's folder still lives.

    Raises:
        UsageError: nothing has this name, or several things have.
    """
    with Lookup(store, forgiving=True) as lookup:
        return _Asked(query, runs, store, is_alive, lookup).answer(run)


@dataclass(frozen=True)
class _Found:
    title: str
    exact: bool
    tell: Callable[[], Story | ArtifactStory]


@dataclass
class _Asked:
    query: str
    runs: Path
    store: Store
    is_alive: Callable[[Path], bool]
    lookup: Lookup

    def __post_init__(self) -> None:
        self._trainings = Trainings(self.runs, self.store, self.lookup)

    def answer(self, run: Path | None) -> Answer:
        model = self._model()
        if model is not None:
            return tell_model(model, registry.read_entry(self.store, model), self._trainings, self.lookup)
        folders = [run] if run is not None else self._folders()
        damaged: list[str] = []
        for place, folder in enumerate(folders):
            evidence = self._settled(gather(folder, self.store))
            told = self._in_run(evidence)
            if told is not None:
                later = [newer.name for newer in folders[:place]]
                unknown = [*told.unknown, *damaged]
                return told.model_copy(update={"later": later, "unknown": unknown})
            damaged += [f"run {folder.name}: {note}" for note in evidence.notes]
        raise self._nothing(folders, [*damaged, *self.lookup.problems])

    def _model(self) -> LogLine | None:
        """The registered model that is meant, by its reference, its name or the digest of what it is."""
        lines = registry.list_models(self.store)
        if self.query in {line.name for line in lines}:
            return registry.find(self.store, f"{self.query}@default")
        if _REFERENCE.fullmatch(self.query):
            return registry.find(self.store, self.query)
        if len(self._digest) < _TELLING:
            return None
        meant = [
            line
            for line, entry in self._trainings.registered
            if line.content.startswith(self._digest)
            or entry.description.files.digest.startswith(self._digest)
        ]
        return meant[-1] if meant else None

    def _in_run(self, evidence: Evidence) -> Story | ArtifactStory | None:
        query = self._digest or self.query
        matches = distinct(find(query, evidence, self.lookup))
        found = [
            _Found(match.title, query in (match.item, match.name), partial(self._tell, match, evidence))
            for match in matches
        ]
        if self._digest:
            ids = {match.item for match in matches}
            artifacts = find_artifacts(query, evidence, self.lookup, deep=not matches)
            found += [
                _Found(artifact.title, query == artifact.digest, partial(self._show, artifact, evidence))
                for artifact in artifacts
                if artifact.digest not in ids
            ]
        meant = [one for one in found if one.exact] or found
        if len(meant) > 1:
            raise several(self.query, [one.title for one in meant])
        return meant[0].tell() if meant else None

    def _tell(self, match: Match, evidence: Evidence) -> Story:
        return tell(match, evidence, self._trainings, self.lookup)

    def _show(self, artifact: Artifact, evidence: Evidence) -> ArtifactStory:
        return tell_artifact(artifact, evidence, self._trainings, self.lookup)

    def _folders(self) -> list[Path]:
        """The folders of all runs, the latest first."""
        return sorted((path.parent for path in self.runs.glob(f"*/{RECORD}")), reverse=True)

    @cached_property
    def _digest(self) -> str:
        """The query as the start of a digest; empty where it cannot be one."""
        found = _DIGEST.fullmatch(self.query)
        return found[2] if found else ""

    def _settled(self, evidence: Evidence) -> Evidence:
        """A run whose runner was killed says so, and what it left behind is no longer under way."""
        run = evidence.run
        if run is None or run.state != "RUNNING" or run.target != "embedded":
            return evidence
        if self.is_alive(evidence.folder):
            return evidence
        ended = {"state": "CANCELLED", "reason": "the runner was killed"}
        stages = [
            replace(stage, task=stage.task.model_copy(update=ended))
            if stage.task.state in ("RUNNING", "PENDING")
            else stage
            for stage in evidence.stages
        ]
        return replace(evidence, run=run.model_copy(update={"state": "INTERRUPTED"}), stages=stages)

    def _nothing(self, folders: list[Path], damages: list[str]) -> UsageError:
        where = (
            f"run {folders[0].name}" if len(folders) == 1 else f"any of {len(folders)} runs of {self.runs}"
        )
        damaged = f"; not all was read: {'; '.join(damages[:_LISTED])}" if damages else ""
        return UsageError(
            f"{self.query!r} names no model, artifact, source or clip of {where}: give NAME@VERSION, a "
            f"sha256 or an id or the start of one, a file's name or its page{damaged}"
        )
