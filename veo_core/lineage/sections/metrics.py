"""The evaluation's figures with their intervals."""

from collections.abc import Sequence

from veo_core.evaluate.records import SummaryRow
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.html import Html, element, join
from veo_core.lineage.svg import interval_mark, number

_TITLES = {
    "playable_with_sound": "Plays with sound",
    "sync_share_50ms": "Contacts that sound within 50 ms",
    "sync_share_100ms": "Contacts that sound within 100 ms",
    "sync_error": "Error of those that do",
    "sync_lag": "Lag of sound behind picture",
    "false_onsets": "Sounds without a contact",
    "contacts": "Contacts seen",
    "motion": "Motion",
    "flicker": "Flicker",
    "loudness": "Loudness",
    "clipped": "Clipped samples",
}


def metrics_section(evidence: Evidence) -> Html | None:
    """The summary of the last evaluation; nothing where there was none."""
    rows: list[SummaryRow] = []
    for _, manifest in evidence.with_table("summary"):
        rows = evidence.table(manifest.tables["summary"], SummaryRow)
    if not rows:
        return None
    return element(
        "section",
        element("h2", "Evaluation"),
        element(
            "p",
            "Each figure with its 95 % interval and the number n of clips behind it. ",
            element("span", class_="key reference"),
            " real: the same figure on real clips. ",
            element("span", class_="key control"),
            " chance: the same figure after prompts or sounds were exchanged between clips.",
            class_="hint",
        ),
        metrics_table(rows),
        id="evaluation",
    )


def metrics_table(rows: Sequence[SummaryRow]) -> Html:
    """Figures as a table, each with its interval drawn on the scale of its metric."""
    names = ("Metric", "Clips", "Value", "95 % interval", "", "n", "Real", "Chance")
    head = element("tr", [element("th", name, scope="col") for name in names])
    tops = {row.metric: 1.0 if row.unit == "share" else 0.0 for row in rows}
    for row in rows:
        figures = (row.value, row.ci_high, row.reference, row.control)
        tops[row.metric] = max([tops[row.metric], *(f for f in figures if f is not None)])
    body = [_row(row, rows[index - 1] if index else None, tops[row.metric]) for index, row in enumerate(rows)]
    return element(
        "div",
        element("table", element("thead", head), element("tbody", body), class_="metrics"),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="Figures",
    )


def _row(row: SummaryRow, above: SummaryRow | None, top: float) -> Html:
    first = above is None or above.metric != row.metric
    known = row.value is not None and row.ci_low is not None and row.ci_high is not None
    interval: Html | str = "not measured"
    drawing: Html | None = None
    if row.value is not None and row.ci_low is not None and row.ci_high is not None:
        interval = join(figure(row.ci_low, row.unit), " – ", figure(row.ci_high, row.unit))
        marks = [(n, f) for n, f in (("reference", row.reference), ("control", row.control)) if f is not None]
        if row.ci_low >= 0:
            drawing = interval_mark(row.ci_low, row.value, row.ci_high, marks=marks, top=top)
    return element(
        "tr",
        element("th", _words(row.metric) if first else "", scope="row"),
        element("td", " ".join(part for part in (row.split.replace("_", "-"), row.mode) if part)),
        element("td", element("strong", figure(row.value, row.unit)) if known else "–", class_="num"),
        element("td", interval, class_="num" if known else "unknown"),
        element("td", drawing),
        element("td", row.n, class_="num"),
        element("td", figure(row.reference, row.unit), class_="num"),
        element("td", figure(row.control, row.unit), class_="num"),
        class_="first" if first else None,
    )


def figure(value: float | None, unit: str) -> str:
    """A figure in its unit."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "s":
        return f"{1000 * value:.0f} ms"
    return f"{number(value)} {unit}".strip()


def _words(metric: str) -> str:
    if metric.startswith("following_"):
        return f"Prompt followed: {metric.removeprefix('following_')}"
    return _TITLES.get(metric, metric.replace("_", " "))
