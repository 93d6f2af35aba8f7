"""The report of a run: one HTML file that shows everything and asks no server for anything."""

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path

from veo_core.html import Html, element, join
from veo_core.lineage.evidence import Evidence, gather
from veo_core.lineage.sections.curves import curves_section
from veo_core.lineage.sections.funnel import funnel_section
from veo_core.lineage.sections.gallery import gallery_section
from veo_core.lineage.sections.graph import graph_section
from veo_core.lineage.sections.metrics import metrics_section
from veo_core.lineage.sections.overview import header, notices, record_section, tiles
from veo_core.lineage.sections.similarity import similarity_section
from veo_core.lineage.sections.verdict import (
    find_decision,
    find_entry,
    registry_section,
    safety_section,
)
from veo_core.storage import Store

_TITLES = {
    "clips": "Clips",
    "evaluation": "Evaluation",
    "safety": "Safety",
    "model": "Model",
    "pipeline": "Pipeline",
    "curation": "Curation",
    "similarity": "Near-duplicates",
    "training": "Training",
    "record": "Record",
}


def write_report(run_folder: Path, store: Store) -> Path:
    """Write `report.html` into a run's folder, from its record and the manifests that its tasks published.

    A run that failed, is still running, was interrupted, or has a damaged record is shown as far as it is
    known.

    Args:
        run_folder: the folder that holds `run.json`.
        store: the store that the run's manifests refer to.

    Returns:
        The report's path.

    Raises:
        UsageError: there is no such folder, or it holds no run.
    """
    page = render(gather(run_folder, store))
    target = run_folder / "report.html"
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_text(page, encoding="utf-8")
    part.replace(target)
    return target


def render(evidence: Evidence) -> str:
    """The page. Its policy forbids every request and every script but its own."""
    decision, entry = find_decision(evidence), find_entry(evidence)
    sections = {
        "clips": gallery_section(evidence),
        "evaluation": metrics_section(evidence),
        "safety": safety_section(evidence, decision),
        "model": registry_section(entry),
        "pipeline": graph_section(evidence),
        "curation": funnel_section(evidence),
        "similarity": similarity_section(evidence),
        "training": curves_section(evidence),
        "record": record_section(evidence.run),
    }
    figures = tiles(evidence, decision, entry)
    present = [name for name, section in sections.items() if section is not None]
    navigation = element(
        "nav",
        [element("a", _TITLES[name], href=f"#{name}") for name in present],
        aria_label="Sections",
    )
    title = evidence.run.run_id if evidence.run else evidence.folder.name
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"{title} · veo report"),
        element("style", style),
    )
    # Notices come last because reading the evidence for the sections adds to them.
    body = element(
        "body",
        element("a", "Skip to content", href="#content", class_="skip"),
        join(header(evidence), navigation),
        element(
            "main",
            notices(evidence),
            figures,
            [sections[name] for name in present],
            id="content",
            tabindex=-1,
        ),
        element("script", script),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _asset(name: str) -> Html:
    """A file of this package, as it is."""
    return Html(files("veo_core.lineage").joinpath(name).read_text(encoding="utf-8"))


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
