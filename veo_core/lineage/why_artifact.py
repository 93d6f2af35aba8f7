"""What a digest stands for: which task made it, from what, and what was made of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.lineage.lookup import Lookup, begins
from veo_core.lineage.told import Made, Told, account, not_known
from veo_core.lineage.trained import Trainings
from veo_core.records.base import Record
from veo_core.records.files import TableRef
from veo_core.records.generated import ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.registry.local import LogLine
from veo_core.registry.records import ModelEntry

_LISTED = 8
_DIGEST = ".sha256"
_ELEMENT = ".list.element"
_IMAGE = re.compile(r"sha256:([0-9a-f]{64})")
_ITEM_COLUMNS = ("clip_id", "source_id", "name")


class Use(Record):
    """A task that read the artifact, or the manifest that names it."""

    run: str
    task: str
    role: str = Field(description="the task's name of the input")
    manifest: str = Field(
        description="sha256 of the manifest that the task published, empty where it did not"
    )


class ArtifactStory(Told):
    """An artifact of a run: a manifest, or a file that a manifest or a table names."""

    sha256: str
    what: list[str] = Field(description="what it is of its task's output, such as `table clips`")
    place: str = Field(
        description="its path in the store, or its URI; empty where it is named by digest alone"
    )
    bytes: int | None = None
    rows: int | None = Field(default=None, description="of a table")
    made: Made | None = Field(default=None, description="the first task of all runs that published it")
    items: list[str] = Field(default_factory=list, description="clips or sources whose file it is, the first")
    items_in_all: int = 0
    uses: list[Use] = Field(default_factory=list, description="in the run that made it")
    models: list[str] = Field(
        default_factory=list,
        description="models that it is behind; of a clip's or a source's file, those that were trained on it",
    )
    runs: list[str] = Field(default_factory=list, description="other runs that have it, oldest first")
    changes: list[str] = Field(default_factory=list, description="what took its place later, and why")


@dataclass
class Artifact:
    """A digest that was found in a run.

    Attributes:
        stage: the task whose output it is of; None for what the run itself has, such as its pipeline.
        items: ids of the rows that name it, in a table.
    """

    digest: str
    stage: StageEvidence | None
    what: list[str]
    place: str = ""
    bytes: int | None = None
    rows: int | None = None
    items: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What lists of several things call it."""
        where = f" of {self.stage.task.name}" if self.stage is not None else ""
        return f"{self.what[0]}{where} {self.digest[:12]}"


def find_artifacts(prefix: str, evidence: Evidence, lookup: Lookup, *, deep: bool) -> list[Artifact]:
    """What begins with `prefix` in a run: its pipeline, outputs of tasks, and what their manifests name.

    Everything stands with the first task of the run that has it.

    Args:
        prefix: the start of a sha256.
        evidence: the run.
        lookup: reads its tables.
        deep: where nothing else is found, look for files that tables alone name, such as key frames.
    """
    found: dict[str, Artifact] = {}
    named = (*_of_run(prefix, evidence), *_of_outputs(prefix, evidence))
    for artifact in named or (_of_tables(prefix, evidence, lookup) if deep else ()):
        known = found.setdefault(artifact.digest, artifact)
        if known is not artifact and known.stage is artifact.stage:
            known.what += artifact.what
            known.items += artifact.items
    return list(found.values())


def _of_run(prefix: str, evidence: Evidence) -> Iterator[Artifact]:
    run = evidence.run
    if run is None:
        return
    if run.ir_digest.startswith(prefix):
        yield Artifact(run.ir_digest, None, ["compiled pipeline"], place="pipeline.yaml")
    for pool, image in run.images.items():
        named = _IMAGE.search(image)
        if named and named[1].startswith(prefix):
            yield Artifact(named[1], None, [f"image {pool}"], place=image)
    for change in run.changes:
        for old, new in change.digests.items():
            if old.startswith(prefix):
                yield Artifact(old, None, [f"manifest, now {new}"])


def _of_outputs(prefix: str, evidence: Evidence) -> Iterator[Artifact]:
    """Outputs of tasks, and the tables, files and shards that their manifests name."""
    for stage in evidence.stages:
        for name, artifacts in stage.task.outputs.items():
            for output in artifacts:
                if output.sha256.startswith(prefix):
                    yield Artifact(output.sha256, stage, [f"output {name}"], place=output.uri)
        if stage.manifest is not None:
            yield from _of_manifest(prefix, stage, stage.manifest)


def _of_manifest(prefix: str, stage: StageEvidence, manifest: Manifest) -> Iterator[Artifact]:
    for name, table in manifest.tables.items():
        if table.sha256.startswith(prefix):
            yield Artifact(
                table.sha256, stage, [f"table {name}"], place=table.path, bytes=table.bytes, rows=table.rows
            )
    named = [(f"file {name}", ref) for name, ref in manifest.files.items()]
    named += [(f"shard {number}", ref) for number, ref in enumerate(manifest.shards)]
    for what, ref in named:
        if ref.sha256.startswith(prefix):
            yield Artifact(ref.sha256, stage, [what], place=ref.path, bytes=ref.bytes)


def _of_tables(prefix: str, evidence: Evidence, lookup: Lookup) -> Iterator[Artifact]:
    """Files that the rows of a table name; the first table that has them was written by their maker."""
    seen: set[str] = set()
    for stage in evidence.stages:
        for name, table in (stage.manifest.tables if stage.manifest is not None else {}).items():
            if table.sha256 not in seen:
                seen.add(table.sha256)
                found = list(_of_table(prefix, stage, name, table, lookup))
                if found:
                    yield from found
                    return


def _of_table(
    prefix: str, stage: StageEvidence, name: str, table: TableRef, lookup: Lookup
) -> Iterator[Artifact]:
    columns = lookup.columns(table)
    owner = next((column for column in _ITEM_COLUMNS if column in columns), "")
    for path in (column for column in columns if column.endswith(_DIGEST)):
        part = path.removesuffix(_DIGEST).replace(_ELEMENT, "")
        whole = path.split(".")[0]
        for row in lookup.matching(table, begins(path, prefix), [whole, *([owner] if owner else [])]):
            for ref in _refs(row[0], prefix):
                yield Artifact(
                    ref["sha256"],
                    stage,
                    [f"{part} of table {name}"],
                    place=ref.get("path", ""),
                    bytes=ref.get("bytes"),
                    items=[str(row[1])] if owner else [],
                )


def _refs(value: Any, prefix: str) -> Iterator[dict[str, Any]]:
    """The references to files that begin with `prefix`, at any depth."""
    if isinstance(value, dict):
        if str(value.get("sha256")).startswith(prefix):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _refs(part, prefix)


def tell_artifact(
    artifact: Artifact, evidence: Evidence, trainings: Trainings, lookup: Lookup
) -> ArtifactStory:
    """The story of an artifact that was found in a run, with what all runs know of it."""
    holders = [(run, stage) for run in trainings.evidence for stage in _holding(artifact, run)[:1]]
    if not holders and artifact.stage is not None:
        holders = [(evidence, artifact.stage)]
    makers = [held for held in holders if held[1].task.state == "SUCCEEDED"] or holders
    maker = makers[0] if makers else None
    made = account(*maker) if maker is not None else None
    items = list(dict.fromkeys(artifact.items))
    having = [run for run in trainings.evidence if _has(artifact, run)]
    return ArtifactStory(
        run=evidence.folder.name,
        state=evidence.run.state if evidence.run is not None else None,
        unknown=list(dict.fromkeys([*not_known(evidence), *trainings.notes, *lookup.problems])),
        sha256=artifact.digest,
        what=list(dict.fromkeys(artifact.what)),
        place=artifact.place,
        bytes=artifact.bytes,
        rows=artifact.rows,
        made=made,
        items=items[:_LISTED],
        items_in_all=len(items),
        uses=list(_uses(made.manifest, maker[0])) if made is not None and maker is not None else [],
        models=_seen_by(artifact, trainings) if items else _models(artifact, having, trainings),
        runs=[run.folder.name for run in having if made is None or run.folder.name != made.run],
        changes=[
            f"{change.when}: {change.why}; now {change.digests[artifact.digest]}"
            for run in having
            for change in (run.run.changes if run.run is not None else ())
            if artifact.digest in change.digests
        ],
    )


def _holding(artifact: Artifact, evidence: Evidence) -> list[StageEvidence]:
    """The tasks of a run that published the artifact, the first first."""
    if artifact.stage is None:
        return []
    named = [held.stage for held in _of_outputs(artifact.digest, evidence) if held.stage is not None]
    manifest = artifact.stage.manifest
    alike = [stage for stage in evidence.stages if manifest is not None and stage.manifest == manifest]
    return named or (alike if artifact.items else [])


def _has(artifact: Artifact, evidence: Evidence) -> bool:
    return bool(_holding(artifact, evidence)) or any(_of_run(artifact.digest, evidence))


def _uses(manifest: str, evidence: Evidence) -> Iterator[Use]:
    for stage in evidence.stages:
        told = account(evidence, stage)
        for given in told.given:
            if manifest and given.sha256 == manifest:
                yield Use(run=told.run, task=told.task, role=given.role, manifest=told.manifest)


def _models(artifact: Artifact, having: Sequence[Evidence], trainings: Trainings) -> list[str]:
    """Registered models that name it, and those that the runs registered which have it."""
    outputs = {str(stage.task.output_parameters.get("model", "")) for run in having for stage in run.stages}
    return [
        line.reference
        for line, entry in trainings.registered
        if line.reference in outputs or artifact.digest in _named_by(line, entry)
    ]


def _seen_by(artifact: Artifact, trainings: Trainings) -> list[str]:
    """Models that were trained on the clips or sources whose file it is."""
    owners = set(artifact.items)
    found = [*trainings.of_clips(owners), *trainings.of_sources(owners)]
    return sorted({model for training in found if training.split == "train" for model in training.models})


def _named_by(line: LogLine, entry: ModelEntry) -> set[str]:
    """Every digest that a registered model's entry names itself."""
    model = entry.description
    files = [getattr(model.files, name).sha256 for name in ModelFiles.model_fields]
    return {line.entry.sha256, entry.card.sha256, *files, *model.manifests.values()}
