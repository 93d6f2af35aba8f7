"""The list of runs: what each was, how it ended, and its figures to read first."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from veo_core.evaluate.records import SummaryRow
from veo_core.explorer.documents import Headline, RunsDocument, RunSummary
from veo_core.explorer.findings import find_decision, find_entry, find_summary
from veo_core.explorer.library import Library, Run
from veo_core.explorer.salvage import damaged_summary
from veo_core.lineage.evidence import Evidence
from veo_core.provenance.claim import product_version
from veo_core.records.ledger import Counts
from veo_core.records.run import RunRecord
from veo_core.safety.records import Decision

_STATES = {
    "RUNNING": "is running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "was cancelled",
    "INTERRUPTED": "was interrupted: its runner was killed; running it again continues it",
}
_HEADLINES = (
    ("following_all", "seen", "Prompts followed, seen"),
    ("following_all", "held_out", "Prompts followed, held-out"),
    ("sync_share_100ms", "all", "Contacts that sound in time"),
)
_TELLING = (
    "seed",
    "judge_server",
    "collect_config.folder",
    "collect_config.url_list",
    "collect_config.world.clips",
    "collect_config.world.seed",
    "annotate_config.judge.model",
    "train_base_config.size",
    "train_base_config.steps",
    "train_base_config.batch",
    "generate_config.sampler.steps",
)
"""Parameters by which people tell runs apart, with dots between nested keys."""


def runs_document(library: Library, summary: Callable[[str], RunSummary]) -> RunsDocument:
    """All runs, newest first.

    Args:
        library: where they are.
        summary: gives the summary of a run.
    """
    ids, notes = library.ids()
    return RunsDocument(
        runs=[summary(run) for run in ids],
        notes=notes,
        version=product_version(),
        live=True,
    )


def run_summary(run: Run) -> RunSummary:
    """A run as the list shows it; what cannot be read is told in its notes."""
    evidence = run.evidence
    record = evidence.run
    if record is None:
        return damaged_summary(run)
    counts = [manifest.counts for _, manifest in evidence.with_table("ledger") if manifest.counts]
    packaged, generated = evidence.last("package"), evidence.last("generate")
    decision, entry = find_decision(evidence), find_entry(evidence)
    return RunSummary(
        id=run.id,
        name=run.folder.name,
        folder=run.label,
        pipeline=record.pipeline,
        target=record.target,
        state=record.state,
        state_words=_STATES[record.state],
        created=record.created,
        finished=record.finished,
        parameters=_telling(record.parameters),
        tasks=dict(Counter(task.state for task in record.tasks)),
        collected=counts[0].received if counts else None,
        kept=counts[-1].kept if counts else None,
        train_clips=int(packaged.metrics["train_clips"])
        if packaged is not None and "train_clips" in packaged.metrics
        else None,
        generated=generated.rows if generated else None,
        headlines=_headlines(evidence, record, counts, decision),
        model=entry.reference if entry else _model_parameter(record),
        gate=_gate(decision),
        git_sha=record.git_sha,
        git_dirty=record.git_dirty,
        notes=list(dict.fromkeys(evidence.notes)),
    )


def _gate(decision: Decision | None) -> Literal["open", "closed", ""]:
    if decision is None:
        return ""
    return "open" if decision.approved else "closed"


def _model_parameter(record: RunRecord) -> str:
    """What the run says that it registered, where its entry cannot be read."""
    found = [task.output_parameters.get("model") for task in record.tasks]
    return next((str(model) for model in found if model), "")


def _telling(parameters: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name in _TELLING:
        value: Any = parameters
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value not in (None, ""):
            found[name.replace("_config", "")] = str(value)
    return found


def _headlines(
    evidence: Evidence, record: RunRecord, counts: list[Counts], decision: Decision | None
) -> list[Headline]:
    kept = Headline(
        name="kept",
        title="Clips kept",
        value=counts[-1].kept if counts else None,
        note=f"of {counts[0].received} collected" if counts else "not known",
    )
    if _ends_with_dataset(record):
        return [kept, *_dataset(evidence)]
    made = evidence.last("generate")
    rows = find_summary(evidence)
    return [
        kept,
        Headline(
            name="generated",
            title="Clips generated",
            value=made.rows if made else None,
            note="with sound" if made else "not known",
        ),
        *(_figure(title, rows, metric, split) for metric, split, title in _HEADLINES),
        Headline(
            name="gate",
            title="Safety gate, rules met",
            value=sum(check.holds for check in decision.checks) if decision else None,
            n=len(decision.checks) if decision else None,
            note="not known" if decision is None else "open" if decision.approved else "closed",
        ),
    ]


def _ends_with_dataset(record: RunRecord) -> bool:
    """Whether the run's dataset is what it was for: nothing comes after it."""
    packages = [task.name for task in record.tasks if task.component == "package"]
    return bool(packages) and not any(name in task.depends_on for task in record.tasks for name in packages)


def _dataset(evidence: Evidence) -> list[Headline]:
    packaged = evidence.last("package")
    metrics = packaged.metrics if packaged else {}
    unknown = "" if packaged else "not known"
    refs = [*packaged.shards, *packaged.files.values()] if packaged else []
    tars = [ref for ref in refs if ref.path.endswith(".tar")]
    return [
        Headline(
            name="train_clips", title="Clips to train on", value=metrics.get("train_clips"), note=unknown
        ),
        Headline(
            name="validation_clips",
            title="Clips held back",
            value=metrics.get("validation_clips"),
            note=unknown or "for validation",
        ),
        Headline(
            name="shards",
            title="Bytes of shards",
            value=sum(ref.bytes for ref in tars) if packaged else None,
            unit="bytes",
            n=len(tars) if packaged else None,
            note=unknown,
        ),
    ]


def _figure(title: str, rows: list[SummaryRow], metric: str, split: str) -> Headline:
    name = f"{metric}/{split}"
    row = next((r for r in rows if (r.metric, r.split, r.mode) == (metric, split, "t2v")), None)
    if row is None:
        return Headline(name=name, title=title, value=None, note="not known")
    return Headline(
        name=name,
        title=title,
        value=row.value,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
        unit=row.unit,
        n=row.n,
        note="" if row.value is not None else "nothing to measure",
    )
