"""What differs between two runs: parameters, code, images, libraries, data, figures, and where they part."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.lineage.commits import commits_between
from veo_core.lineage.diff_causes import (
    causes,
    judge_causes,
    machine_causes,
    machines,
    source_causes,
    unexplained,
    without_places,
)
from veo_core.lineage.diff_data import data_difference
from veo_core.lineage.diff_metrics import metric_differences
from veo_core.lineage.difference import Outcome, RunDifference, RunSide, StageDifference
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.changes import ValueChange, value_changes
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord, TaskRecord

_DONE = ("SUCCEEDED", "CACHED")


def diff(
    first: Evidence, second: Evidence, *, listed: int = 20, repository: Path | None = None
) -> RunDifference:
    """Compare two runs.

    Args:
        first: the one to compare with.
        second: the one of which is said what changed.
        listed: the most sources and clips to list of each kind of change; counts are always complete.
        repository: a checkout that may know the commits of both.

    Raises:
        UsageError: the record of one of them is damaged.
    """
    runs = [_record(evidence) for evidence in (first, second)]
    known = [{stage.task.name: stage for stage in evidence.stages} for evidence in (first, second)]
    shared = [name for name in known[0] if name in known[1]]
    notes: list[str] = []
    data = data_difference(first, second, shared, listed=listed, notes=notes)
    stages = _stages((runs[0], known[0]), (runs[1], known[1]))
    metrics = metric_differences(first, second)
    said = [
        f"{run.run_id}: {note}"
        for run, evidence in zip(runs, (first, second), strict=True)
        for note in (*evidence.notes, *run.unknown)
    ]
    difference = RunDifference(
        first=_side(first, runs[0]),
        second=_side(second, runs[1]),
        stages=stages,
        parameters=list(value_changes(*(without_places(run.parameters) for run in runs))),
        code=_if_both(runs[0].sources, runs[1].sources),
        commits=commits_between(repository, runs[0].git_sha, runs[1].git_sha) if repository else [],
        images=list(value_changes(runs[0].images, runs[1].images)),
        packages=_if_both(runs[0].packages, runs[1].packages),
        machine=list(value_changes(*machines(*runs))),
        data=data,
        metrics=metrics,
        notes=[*said, *notes],
    )
    return _with_divergence(difference, first, second, known)


def _record(evidence: Evidence) -> RunRecord:
    if evidence.run is None:
        raise UsageError(f"{evidence.folder}: {evidence.notes[0]}")
    return evidence.run


def _side(evidence: Evidence, run: RunRecord) -> RunSide:
    return RunSide(
        run=evidence.folder.name,
        pipeline=run.pipeline,
        target=run.target,
        state=run.state,
        created=run.created,
        git_sha=run.git_sha,
        git_dirty=run.git_dirty,
        ir_digest=run.ir_digest,
    )


def _if_both(first: Mapping[str, str], second: Mapping[str, str]) -> list[ValueChange]:
    """Changes of what both records state; an old record states nothing of its files."""
    return list(value_changes(first, second)) if first and second else []


def _stages(*sides: tuple[RunRecord, Mapping[str, StageEvidence]]) -> list[StageDifference]:
    (first, stages), (second, others) = sides
    found: dict[str, StageDifference] = {}
    for name in dict.fromkeys([*stages, *others]):
        mine, theirs = stages.get(name), others.get(name)
        known = mine or theirs
        assert known is not None
        upstream = [
            task
            for task, stage in found.items()
            if stage.outcome == "different" and _depends(known.task, task)
        ]
        if mine is None or theirs is None:
            outcome: Outcome = "only_second" if mine is None else "only_first"
        else:
            outcome = _outcome(mine.task, theirs.task)
        found[name] = StageDifference(
            task=name,
            component=known.task.component,
            outcome=outcome,
            first_state=mine.task.state if mine else "",
            second_state=theirs.task.state if theirs else "",
            first_digests=_digests(mine),
            second_digests=_digests(theirs),
            upstream=upstream,
            causes=causes(first, second, mine.task, theirs.task, bool(upstream)) if mine and theirs else [],
            parts=_parts(mine, theirs),
            figures=_figures(mine, theirs),
        )
    return list(found.values())


def _outcome(first: TaskRecord, second: TaskRecord) -> Outcome:
    states = {first.state, second.state}
    if first.state in _DONE and second.state in _DONE:
        return "equal" if _task_digests(first) == _task_digests(second) else "different"
    if states == {"SKIPPED"}:
        return "equal"
    ended = states <= {*_DONE, "SKIPPED", "FAILED"}
    return "different" if ended and states != {"FAILED"} else "unknown"


def _depends(task: TaskRecord, earlier: str) -> bool:
    """Whether a task reads of `earlier`, or of a group that it is in; an outer task's needs are its own."""
    return any(earlier == name or earlier.startswith(f"{name}/") for name in task.depends_on)


def _digests(stage: StageEvidence | None) -> dict[str, str]:
    return _task_digests(stage.task) if stage else {}


def _task_digests(task: TaskRecord) -> dict[str, str]:
    """What a task hands on. Beside a manifest there are views alone, which hold signatures and so differ."""
    handed = {"manifest": task.outputs["manifest"]} if "manifest" in task.outputs else task.outputs
    return {name: " ".join(a.sha256 for a in artifacts) for name, artifacts in handed.items()}


def _figures(first: StageEvidence | None, second: StageEvidence | None) -> list[ValueChange]:
    if not (first and second and first.manifest and second.manifest):
        return []
    return list(value_changes(*(_figures_of(stage.manifest) for stage in (first, second) if stage.manifest)))


def _figures_of(manifest: Manifest) -> dict[str, Any]:
    counts = manifest.counts.model_dump() if manifest.counts else {}
    return {"rows": manifest.rows} | counts | manifest.metrics


def _parts(first: StageEvidence | None, second: StageEvidence | None) -> list[str]:
    if not (first and second and first.manifest and second.manifest):
        return []
    mine, theirs = first.manifest, second.manifest
    tables = value_changes(_identities(mine.tables), _identities(theirs.tables))
    files = value_changes(_identities(mine.files), _identities(theirs.files))
    found = [*(f"table {change.name}" for change in tables), *(f"file {change.name}" for change in files)]
    found += ["shards"] * (mine.shards != theirs.shards)
    return found + ["configuration"] * (mine.config_digest != theirs.config_digest)


def _identities(refs: Mapping[str, Any]) -> dict[str, str]:
    return {name: ref.sha256 for name, ref in refs.items()}


def _with_divergence(
    difference: RunDifference,
    first: Evidence,
    second: Evidence,
    known: Sequence[Mapping[str, StageEvidence]],
) -> RunDifference:
    """The result with the first stage whose output differs by itself, and all that is known of its causes."""
    found = next((s for s in difference.stages if s.outcome == "different" and not s.upstream), None)
    if found is None:
        return difference
    mine, theirs = (side[found.task] for side in known)
    told = list(found.causes)
    manifests = [stage.manifest for stage in (mine, theirs) if stage.manifest]
    if difference.data is not None and any("sources" in manifest.tables for manifest in manifests):
        asked = [c for c in told if c.kind == "parameter" and not c.name.endswith(".revision")]
        told = [*asked, *source_causes(difference.data), *(c for c in told if c not in asked)]
    told += judge_causes(first, second, (mine, theirs))
    if not any(cause.name for cause in told):
        assert first.run is not None
        assert second.run is not None
        told += machine_causes(first.run, second.run)
    told = told or [unexplained(found.parts)]
    stages = [s if s is not found else s.model_copy(update={"causes": told}) for s in difference.stages]
    return difference.model_copy(update={"stages": stages, "diverging": found.task})
