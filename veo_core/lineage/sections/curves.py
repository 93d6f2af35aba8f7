"""Training curves from the stages' histories."""

from veo_core.html import Html, element, join
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.records.manifest import Manifest
from veo_core.views.curves import curves
from veo_core.views.svg import number


def curves_section(evidence: Evidence) -> Html | None:
    """A group of charts for each stage with a history; nothing where none was trained."""
    groups = [_stage(evidence, stage, manifest) for stage, manifest in evidence.with_file("history")]
    if not groups:
        return None
    return element("section", element("h2", "Training"), groups, id="training")


def _stage(evidence: Evidence, stage: StageEvidence, manifest: Manifest) -> Html:
    data = evidence.bytes(manifest.files["history"])
    figures = ", ".join(f"{name} {number(value)}" for name, value in sorted(manifest.metrics.items()))
    return join(
        element("h3", stage.task.name),
        element("p", f"At the end: {figures}", class_="hint") if figures else None,
        curves(data.decode("utf-8", "replace") if data is not None else ""),
    )
