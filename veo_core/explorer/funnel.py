"""The curation funnel: what came into each stage, what left it, and why."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.explorer.documents import Flow, FunnelDocument, FunnelStage
from veo_core.explorer.findings import last_with_table
from veo_core.explorer.library import Run
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.dataset import FilterQuality
from veo_core.records.files import TableRef
from veo_core.records.ledger import Counts
from veo_core.records.similarity import SimilarityReport

_SIMILARITY = "similarity.json"
_CURATION = (
    "collect", "prepare", "describe", "dedup", "safety-filter", "quality-filter", "annotate", "package",
)  # fmt: skip


def funnel_document(run: Run) -> FunnelDocument:
    """Stages that decide on items, and the flows of items out of them."""
    evidence = run.evidence
    deciding = [
        (stage, manifest.stage, manifest.counts, manifest.tables["ledger"])
        for stage, manifest in evidence.with_table("ledger")
        if manifest.counts is not None
    ]
    names = [name for _, name, _, _ in deciding]
    flows = []
    with tempfile.TemporaryDirectory(prefix="veo-funnel-") as folder:
        for place, (_, _, _, ledger) in enumerate(deciding):
            flows += _flows(evidence, ledger, Path(folder), place, names)
    return FunnelDocument(
        stages=[_stage(stage, name, counts) for stage, name, counts, _ in deciding],
        flows=flows,
        similarity=_similarity(evidence),
        filters=_filters(evidence),
        unfinished=[
            f"{stage.task.name}: {stage.task.state.lower()} {stage.task.reason or stage.problem}".strip()
            for stage in evidence.stages
            if stage.manifest is None and stage.task.component in _CURATION
        ],
        notes=list(dict.fromkeys(evidence.notes)),
    )


def _stage(stage: StageEvidence, name: str, counts: Counts) -> FunnelStage:
    lost = [verdict for verdict in ("dropped", "failed", "quarantined") if getattr(counts, verdict)]
    return FunnelStage(
        task=stage.index,
        name=stage.task.name,
        stage=name,
        **counts.model_dump(),
        where={"stage": [name], "verdict": lost},
    )


def _flows(evidence: Evidence, ledger: TableRef, folder: Path, place: int, names: list[str]) -> list[Flow]:
    last = place + 1 == len(names)
    flows = []
    counted = _counted(evidence, ledger, folder)
    for verdict, rule, items in counted:
        if verdict != "kept":
            where = {"stage": [names[place]], "verdict": [verdict], "rule": [rule]}
            flows.append(
                Flow(source=place, target=None, verdict=verdict, rule=rule, items=items, where=where)
            )
    kept = sum(items for verdict, _, items in counted if verdict == "kept")
    if kept:
        # What a stage kept is decided on by a later one.
        where = {"verdict": ["kept"]} if last else {"stage": list(dict.fromkeys(names[place + 1 :]))}
        target = None if last else place + 1
        flows.append(Flow(source=place, target=target, verdict="kept", items=kept, where=where))
    return sorted(flows, key=lambda flow: (flow.verdict != "kept", -flow.items, flow.verdict, flow.rule))


def _counted(evidence: Evidence, ledger: TableRef, folder: Path) -> list[tuple[str, str, int]]:
    """Items of a ledger by verdict and rule; none with a note where it cannot be read."""
    try:
        path = evidence.store.local_path(ledger, folder)
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            table = file.read(columns=["verdict", "rule"])
    except (UsageError, OSError, pa.ArrowException) as error:
        evidence.notes.append(f"table {ledger.path} cannot be shown: {str(error).splitlines()[0]}")
        return []
    groups = table.group_by(["verdict", "rule"]).aggregate([([], "count_all")])
    return [(row["verdict"], row["rule"] or "", row["count_all"]) for row in groups.to_pylist()]


def _similarity(evidence: Evidence) -> list[SimilarityReport]:
    found = [
        evidence.record(m.files[_SIMILARITY], SimilarityReport) for _, m in evidence.with_file(_SIMILARITY)
    ]
    return [report for report in found if report is not None]


def _filters(evidence: Evidence) -> list[FilterQuality]:
    manifest = last_with_table(evidence, "filter_quality")
    return evidence.table(manifest.tables["filter_quality"], FilterQuality) if manifest else []
