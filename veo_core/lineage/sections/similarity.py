"""How alike the clips were that dedup compared, and which layer dropped how many."""

from collections.abc import Mapping

from veo_core.html import Html, element
from veo_core.lineage.evidence import Evidence
from veo_core.records.similarity import SimilarityReport
from veo_core.views.svg import histogram

_FILE = "similarity.json"
_LAYERS = {
    "packets": "equal packets",
    "hash": "hashes of their pictures",
    "alignment": "their motion and colours side by side",
    "judge": "the judge",
}


def similarity_section(evidence: Evidence) -> Html | None:
    """Histograms of the compared pairs with the recipe's limits; nothing where no dedup ran."""
    found = [
        report
        for _, manifest in evidence.with_file(_FILE)
        if (report := evidence.record(manifest.files[_FILE], SimilarityReport)) is not None
    ]
    if not found:
        return None
    return element(
        "section",
        element("h2", "Near-duplicates"),
        [_report(report) for report in found],
        id="similarity",
    )


def _report(report: SimilarityReport) -> list[Html]:
    limits = report.thresholds
    pairs = report.pairs
    return [
        element(
            "p",
            f"{pairs.get('candidates', 0)} pairs were alike enough to be compared, "
            f"{pairs.get('copies', 0)} of them are copies; a judge was asked about {pairs.get('judged', 0)}.",
            class_="hint",
        ),
        element(
            "div",
            _chart(
                "likeness of what moves",
                report.motion,
                {"judge from": limits.get("grey_motion"), "copy from": limits.get("min_motion")},
            ),
            _chart("likeness of embeddings", report.cosine, {"compared from": limits.get("min_cosine")}),
            class_="charts",
        ),
        element("p", _dropped(report.layers)),
    ]


def _dropped(layers: Mapping[str, int]) -> str:
    """How many clips each layer dropped, in the order of the layers."""
    said = [f"{layers[layer]} by {name}" for layer, name in _LAYERS.items() if layer in layers]
    return f"{sum(layers.values())} clips were dropped as copies: {', '.join(said)}."


def _chart(title: str, counts: list[int], limits: dict[str, float | None]) -> Html:
    marks = [(name, limit) for name, limit in limits.items() if limit is not None]
    return element(
        "figure",
        element("figcaption", f"Pairs by {title} (log scale)"),
        histogram(title, counts, low=0.0, high=1.0, marks=marks),
    )
