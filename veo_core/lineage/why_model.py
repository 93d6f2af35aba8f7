"""What a registered model was made of: sources and licences, what was dropped, stages, code, gate."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.lineage.lookup import Lookup
from veo_core.lineage.told import Made, Told, account, not_known
from veo_core.lineage.trained import Trainings
from veo_core.records.base import Record
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest
from veo_core.registry.local import LogLine
from veo_core.registry.records import ModelEntry

_COLUMNS = {
    "source.source_id": "source_id",
    "source.name": "name",
    "source.licence_id": "licence",
    "source.author": "author",
    "source.origin": "origin",
    "source.source_url": "url",
    "split": "split",
    "rows": "clips",
}
"""Columns of a dataset's clips, and of Sources."""


class Sources(Record):
    """The sources of a dataset by name, in columns, for there may be a hundred thousand: one entry each.

    A source of which clips are in both splits comes twice.
    """

    source_id: list[str] = Field(default_factory=list)
    name: list[str] = Field(default_factory=list)
    licence: list[str] = Field(default_factory=list, description="empty where none is stated")
    author: list[str] = Field(default_factory=list)
    origin: list[str] = Field(default_factory=list)
    url: list[str] = Field(default_factory=list)
    split: list[str] = Field(default_factory=list)
    clips: list[int] = Field(default_factory=list, description="how many of its clips are in the split")


class Code(Record):
    """The code that a run's stages ran, and where."""

    ir_digest: str
    git_sha: str
    git_dirty: bool
    images: dict[str, str]
    python: str
    platform: str
    target: str


class ModelStory(Told):
    """A registered model.

    `unknown` says so where the run that registered it is not here: what is left is its entry.
    """

    reference: str
    is_default: bool = Field(description="whether `NAME@default` means this version")
    content: str = Field(description="sha256 of its description")
    entry: ModelEntry
    sources: Sources = Field(default_factory=Sources)
    curation: list[Outcome] = Field(default_factory=list)
    stages: list[Made] = Field(default_factory=list)
    code: Code | None = None
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the run")
    changes: list[str] = Field(default_factory=list, description="what was changed since it was registered")


def tell_model(line: LogLine, entry: ModelEntry, trainings: Trainings, lookup: Lookup) -> ModelStory:
    """The story of a registered model.

    Args:
        line: its registration.
        entry: its entry.
        trainings: knows all runs.
        lookup: reads their tables.
    """
    evidence = _registering(line, entry, trainings.evidence)
    mine = [other for other, _ in trainings.registered if other.name == line.name and other.promoted]
    told: dict[str, Any] = {"run": "", "unknown": ["the run that registered it is not here, or is damaged"]}
    if evidence is not None and evidence.run is not None:
        told = _of_run(evidence, entry, trainings, lookup)
    told["unknown"] = list(dict.fromkeys([*told["unknown"], *trainings.notes, *lookup.problems]))
    told.setdefault("curation", entry.description.curation)
    return ModelStory(
        reference=line.reference,
        is_default=bool(mine) and mine[-1] == line,
        content=line.content,
        entry=entry,
        **told,
    )


def _registering(line: LogLine, entry: ModelEntry, runs: list[Evidence]) -> Evidence | None:
    """The first run that registered the model; a later one may have found it registered."""
    generated = entry.description.manifests.get("generated", "")
    for evidence in runs:
        outputs = {stage.task.output_parameters.get("model") for stage in evidence.stages}
        digests = {
            artifact.sha256
            for stage in evidence.stages
            for artifact in stage.task.outputs.get("manifest", [])
        }
        if line.reference in outputs and generated in digests:
            return evidence
    return None


def _of_run(evidence: Evidence, entry: ModelEntry, trainings: Trainings, lookup: Lookup) -> dict[str, Any]:
    """What the run that registered a model tells of it."""
    run = evidence.run
    assert run is not None
    dataset, changes = _dataset(entry, evidence, trainings.evidence)
    unknown = not_known(evidence)
    if dataset is None:
        unknown.append("its dataset's manifest is not here: the sources are not known one by one")
    return {
        "run": evidence.folder.name,
        "state": run.state,
        "sources": Sources() if dataset is None else _sources(dataset, lookup),
        "curation": entry.description.curation or list(_outcomes(evidence, lookup)),
        "stages": [account(evidence, stage) for stage in evidence.stages],
        "code": Code.model_validate({name: getattr(run, name) for name in Code.model_fields}),
        "parameters": run.parameters,
        "changes": changes,
        "unknown": unknown,
    }


def _dataset(
    entry: ModelEntry, evidence: Evidence, runs: list[Evidence]
) -> tuple[Manifest | None, list[str]]:
    """The manifest of the model's dataset as it is now, and what changed it since."""
    digest = entry.description.manifests.get("dataset", "")
    changes = []
    for change in evidence.run.changes if evidence.run is not None else ():
        if digest in change.digests:
            digest = change.digests[digest]
            changes.append(f"{change.when}: {change.why}")
    for stage in _all_stages([evidence, *runs]):
        if stage.manifest is not None and stage.manifest.digest == digest:
            return stage.manifest, changes
    return None, changes


def _all_stages(runs: list[Evidence]) -> Iterator[StageEvidence]:
    return (stage for evidence in runs for stage in evidence.stages)


def _sources(dataset: Manifest, lookup: Lookup) -> Sources:
    """The sources of a dataset."""
    if "clips" not in dataset.tables:
        return Sources()
    grouped = lookup.grouped(dataset.tables["clips"], [path for path in _COLUMNS if path != "rows"])
    return Sources.model_validate(grouped.rename_columns(list(_COLUMNS.values())).sort_by("name").to_pydict())


def _outcomes(evidence: Evidence, lookup: Lookup) -> Iterator[Outcome]:
    """What the stages decided, counted from their ledgers."""
    for _, manifest in evidence.with_table("ledger"):
        counts = lookup.counts(manifest.tables["ledger"], ["verdict", "rule"])
        for (verdict, rule), items in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
            yield Outcome(stage=manifest.stage, verdict=verdict, rule=rule, items=items)
