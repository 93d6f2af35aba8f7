"""Runs without a source: their manifests name the tables and shards that were written without it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from veo_core.curate.card import describe_dataset
from veo_core.lineage.evidence import RECORD, Evidence, gather, inside, local_path
from veo_core.lineage.forget_store import Rewritten
from veo_core.records.base import sha256_bytes
from veo_core.records.dataset import DatasetSpec, Shard
from veo_core.records.files import FileRef, TableRef
from veo_core.records.ledger import Counts
from veo_core.records.manifest import Manifest
from veo_core.records.run import ArtifactRecord, Change, RunRecord, TaskRecord
from veo_core.storage import Store
from veo_core.storage.published import published

_MAIN_TABLES = ("clips", "sources", "generated", "scores")
_LATENTS = ("latents", "captions")
DERIVED = "explorer"
"""Folder beside a run's record for what is made of it and can be made again."""

REPORT = "report.html"
_REDACTED = "[line removed: its source was forgotten]"


@dataclass
class Rewrite:
    """What changes in one run.

    Attributes:
        manifests: new manifests by the index of their task.
        digests: digest of each manifest before, and what it is now.
        datasets: digests that changed datasets had before.
        stale: paths of objects that no manifest of the run names any more.
    """

    manifests: dict[int, Manifest] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    datasets: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)


def plan_rewrite(
    evidence: Evidence, replaced: Mapping[str, Rewritten], gone: set[str], datasets: set[str], store: Store
) -> Rewrite:
    """The manifests of a run without the source.

    Args:
        evidence: the run.
        replaced: what became of tables and shards, by their old path.
        gone: paths of other objects that are to be deleted.
        datasets: digests of datasets that an earlier, interrupted attempt changed.
        store: where new objects go.
    """
    plan = Rewrite(datasets=set(datasets))
    for stage in evidence.stages:
        old = stage.manifest
        if old is None:
            continue
        new = _without(old, replaced, gone, store)
        inputs = {artifact.sha256 for group in stage.task.inputs.values() for artifact in group}
        if inputs & plan.datasets and "latents" in new.tables:
            # Latents can be decoded to pictures, so they go; the next run encodes the dataset again.
            left = {name: ref for name, ref in new.tables.items() if name not in _LATENTS}
            new = new.model_copy(update={"tables": left, "shards": []})
        if new != old:
            plan.manifests[stage.index] = new
            plan.digests[old.digest] = new.digest
            plan.stale |= _paths(old) - _paths(new)
            if "pairs" in old.tables:
                plan.datasets.add(old.digest)
    return plan


def apply_rewrite(folder: Path, rewrite: Rewrite, change: Change) -> None:
    """Write a run's new manifests, then its record, each in one step.

    What platforms showed of a stage tells of its old manifest, with clips to play: it goes first.
    """
    run = _read(folder)
    tasks = list(run.tasks)
    for index, manifest in rewrite.manifests.items():
        for artifact in _others(tasks[index]):
            shown = local_path(folder, artifact.uri)
            if shown.resolve().is_relative_to(folder.resolve()):
                shown.unlink(missing_ok=True)
        path = local_path(folder, tasks[index].outputs["manifest"][0].uri)
        _replace(path, manifest.to_bytes())
        tasks[index] = _with_digest(tasks[index], manifest.digest)
    changes = [*run.changes, change]
    _write(folder, run.model_copy(update={"tasks": tasks, "changes": changes}))


def mend_record(folder: Path, digests: Mapping[str, str], change: Change) -> None:
    """Bring a run's record up to manifests that an interrupted attempt has written.

    Args:
        folder: the run's.
        digests: what that attempt was to make of manifests.
        change: the note to add where the record is behind.
    """
    run = _read(folder)
    tasks = list(run.tasks)
    for index, task in enumerate(tasks):
        for artifact in task.outputs.get("manifest", [])[:1]:
            path = local_path(folder, artifact.uri)
            written = sha256_bytes(path.read_bytes()) if path.is_file() else ""
            if written != artifact.sha256 and digests.get(artifact.sha256) == written:
                tasks[index] = _with_digest(task, written)
    if tasks != run.tasks:
        _write(folder, run.model_copy(update={"tasks": tasks, "changes": [*run.changes, change]}))


def scrub_texts(folder: Path, words: set[str]) -> None:
    """Take lines with any of `words` out of logs and reasons; remove the report and all that is derived."""
    run = _read(folder)
    for path in (inside(folder, task.log) for task in run.tasks if task.log):
        if path is not None and path.is_file():
            text = path.read_bytes()
            kept = _redacted(text, words)
            if kept != text:
                _replace(path, kept)
    tasks = [
        task.model_copy(update={"reason": _redacted(task.reason.encode(), words).decode()})
        for task in run.tasks
    ]
    if tasks != run.tasks:
        _write(folder, run.model_copy(update={"tasks": tasks}))
    (folder / REPORT).unlink(missing_ok=True)
    shutil.rmtree(folder / DERIVED, ignore_errors=True)


def _redacted(text: bytes, words: set[str]) -> bytes:
    lines = text.split(b"\n")
    return b"\n".join(
        _REDACTED.encode() if any(word.encode() in line for word in words) else line for line in lines
    )


def read_run(folder: Path, store: Store) -> Evidence:
    """A run with the manifests that can be read."""
    return gather(folder, store)


def _without(manifest: Manifest, replaced: Mapping[str, Rewritten], gone: set[str], store: Store) -> Manifest:
    tables = {name: _table(ref, replaced) for name, ref in manifest.tables.items()}
    ledger = replaced.get(manifest.tables["ledger"].path) if "ledger" in manifest.tables else None
    files = {name: _file(ref, replaced, gone) for name, ref in manifest.files.items()}
    shards = [_file(ref, replaced, gone) for ref in manifest.shards]
    main = next((tables[name] for name in _MAIN_TABLES if name in tables), None)
    changed_main = main is not None and main not in manifest.tables.values()
    new = manifest.model_copy(
        update={
            "tables": tables,
            "files": {name: ref for name, ref in files.items() if ref is not None},
            "shards": [ref for ref in shards if ref is not None],
            "counts": _counts(manifest.counts, ledger),
            "rows": main.rows if main is not None and changed_main else manifest.rows,
        }
    )
    if new == manifest or "shards" not in tables or "spec.json" not in manifest.files:
        return new
    return _dataset(new, manifest, replaced, store)


def _dataset(new: Manifest, old: Manifest, replaced: Mapping[str, Rewritten], store: Store) -> Manifest:
    """A packaged dataset whose figures and descriptions follow from its tables again."""
    spec = published(old, "spec.json", DatasetSpec, store)
    shards = []
    for shard in store.stream_table(old.tables["shards"], Shard):
        change = replaced.get(shard.file.path)
        if change is None:
            shards.append(shard)
        elif change.ref is not None:
            shards.append(shard.model_copy(update={"file": change.ref, "clips": change.clips}))
    table = store.put_table(shards, Shard)
    new = new.model_copy(update={"tables": new.tables | {"shards": table}})
    return describe_dataset(new, fps=spec.fps, audio_rate=spec.audio_rate, store=store)


def _table(ref: TableRef, replaced: Mapping[str, Rewritten]) -> TableRef:
    change = replaced.get(ref.path)
    if change is None or change.ref is None:
        return ref
    return TableRef(**change.ref.model_dump(include={"path", "sha256", "bytes"}), rows=change.rows)


def _file(ref: FileRef, replaced: Mapping[str, Rewritten], gone: set[str]) -> FileRef | None:
    if ref.path in gone:
        return None
    change = replaced.get(ref.path)
    return ref if change is None else change.ref


def _counts(counts: Counts | None, ledger: Rewritten | None) -> Counts | None:
    """Counts after some decisions became 'dropped'."""
    if counts is None or ledger is None:
        return counts
    lost = ledger.verdicts
    return counts.model_copy(
        update={
            "kept": counts.kept - lost.get("kept", 0),
            "failed": counts.failed - lost.get("failed", 0),
            "quarantined": counts.quarantined - lost.get("quarantined", 0),
            "dropped": counts.dropped + sum(lost.values()),
        }
    )


def _paths(manifest: Manifest) -> set[str]:
    return {ref.path for ref in (*manifest.tables.values(), *manifest.files.values(), *manifest.shards)}


def _others(task: TaskRecord) -> list[ArtifactRecord]:
    """The files beside a task's manifest, which show what it holds."""
    found = [artifact for name, group in task.outputs.items() if name != "manifest" for artifact in group]
    return [artifact for artifact in found if artifact.sha256 and "://" not in artifact.uri]


def _with_digest(task: TaskRecord, digest: str) -> TaskRecord:
    """The task with another manifest, and without what was beside it."""
    artifact, *more = task.outputs["manifest"]
    gone, others = {"sha256": "", "metadata": {}}, _others(task)
    outputs = {
        name: [view.model_copy(update=gone) if view in others else view for view in group]
        for name, group in task.outputs.items()
    } | {"manifest": [artifact.model_copy(update={"sha256": digest}), *more]}
    parameters = dict(task.output_parameters)
    if "digest" in parameters:
        parameters["digest"] = digest
    return task.model_copy(update={"outputs": outputs, "output_parameters": parameters})


def _read(folder: Path) -> RunRecord:
    return RunRecord.model_validate_json((folder / RECORD).read_bytes())


def _write(folder: Path, run: RunRecord) -> None:
    _replace(folder / RECORD, run.model_dump_json(indent=1).encode())


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
