"""What several pages read of a run: its last evaluation, gate decision and registry entry."""

from veo_core.evaluate.records import ClipScore, Promotion, SummaryRow
from veo_core.explorer.documents import GateSummary
from veo_core.lineage.evidence import Evidence
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.registry.records import ModelEntry
from veo_core.safety.records import Decision, SafetyReport


def last_with_table(evidence: Evidence, table: str) -> Manifest | None:
    """The last manifest with a table of this name."""
    found = [manifest for _, manifest in evidence.with_table(table)]
    return found[-1] if found else None


def last_with_file(evidence: Evidence, file: str) -> Manifest | None:
    """The last manifest with a file of this name."""
    found = [manifest for _, manifest in evidence.with_file(file)]
    return found[-1] if found else None


def find_summary(evidence: Evidence) -> list[SummaryRow]:
    """The figures of the last evaluation; those that were not run have a note."""
    manifest = last_with_table(evidence, "summary")
    return evidence.table(manifest.tables["summary"], SummaryRow) if manifest else []


def find_scores(evidence: Evidence) -> list[ClipScore]:
    """What the last evaluation measured of each clip, generated or real."""
    manifest = last_with_table(evidence, "scores")
    return evidence.table(manifest.tables["scores"], ClipScore) if manifest else []


def find_generated(evidence: Evidence) -> list[GeneratedClip]:
    """The clips of the last generation."""
    manifest = last_with_table(evidence, "generated")
    return evidence.table(manifest.tables["generated"], GeneratedClip) if manifest else []


def find_decision(evidence: Evidence) -> Decision | None:
    """The last decision of the safety gate."""
    manifest = last_with_file(evidence, "decision")
    return evidence.record(manifest.files["decision"], Decision) if manifest else None


def find_report(evidence: Evidence) -> SafetyReport | None:
    """The last safety report."""
    manifest = last_with_file(evidence, "report")
    return evidence.record(manifest.files["report"], SafetyReport) if manifest else None


def find_entry(evidence: Evidence) -> ModelEntry | None:
    """The registry entry that the run made."""
    manifest = last_with_file(evidence, "entry")
    return evidence.record(manifest.files["entry"], ModelEntry) if manifest else None


def find_promotion(evidence: Evidence) -> Promotion | None:
    """Whether the registered model took the place of the one before."""
    manifest = last_with_file(evidence, "promotion")
    return evidence.record(manifest.files["promotion"], Promotion) if manifest else None


def gate_summary(decision: Decision | None) -> GateSummary | None:
    """A decision in short."""
    if decision is None:
        return None
    return GateSummary(
        approved=decision.approved,
        rules=len(decision.checks),
        met=sum(check.holds for check in decision.checks),
        closed_by=[check for check in decision.checks if not check.holds],
    )
