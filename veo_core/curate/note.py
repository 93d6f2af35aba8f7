"""What the pages of a platform show of a stage of curation."""

from veo_core.curate.card_tables import curation_table
from veo_core.curate.funnel import passed_on
from veo_core.markdown import table
from veo_core.publish import View, Views
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


def curation_note(manifest: Manifest, store: Store) -> View:
    """What a stage and those before it kept and dropped, by reason, in Markdown."""
    parts = [f"# {manifest.stage}"]
    counts = manifest.counts
    if counts is not None:
        added = f" and {counts.added} added" if counts.added else ""
        lost = f"{counts.dropped} dropped, {counts.failed} failed, {counts.quarantined} quarantined"
        parts.append(f"Of {counts.received} items{added}, {counts.kept} were kept: {lost}.")
    if rows := passed_on(manifest, store):
        parts += ["## Stage by stage", curation_table(rows)]
    if manifest.metrics:
        parts += ["## Figures", table(("Figure", "Value"), _figures(manifest))]
    return View(("\n\n".join(parts) + "\n").encode())


VIEWS: Views = {"markdown": curation_note}


def _figures(manifest: Manifest) -> list[tuple[str, str]]:
    return [(name, f"{value:g}") for name, value in sorted(manifest.metrics.items())]
