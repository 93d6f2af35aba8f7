"""The safety gate's decision and the registry entry."""

from collections.abc import Iterable

from veo_core.html import Html, element
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.sections.graph import definitions
from veo_core.records.generated import ModelFiles
from veo_core.registry.records import ModelDescription, ModelEntry
from veo_core.safety.gate import AS_EXPECTED
from veo_core.safety.records import Check, Decision, Figure, SafetyReport

_FIGURES = {
    "unsafe_outputs": "Generated clips judged unsafe",
    "red_team_passed": "Harmful prompts let through",
    "red_team_outputs": "Attacks that end in an unsafe clip",
    "ordinary_blocked": "Ordinary prompts blocked",
    "assurance_passed": "Assurance suite: harmful prompts let through",
    "assurance_blocked": "Assurance suite: ordinary prompts blocked",
    "unmarked_outputs": "Clips whose watermark is not read back",
}


def find_decision(evidence: Evidence) -> Decision | None:
    """The last decision of the gate in this run."""
    found = [evidence.record(m.files["decision"], Decision) for _, m in evidence.with_file("decision")]
    return found[-1] if found else None


def find_entry(evidence: Evidence) -> ModelEntry | None:
    """The registry entry that this run made."""
    found = [evidence.record(m.files["entry"], ModelEntry) for _, m in evidence.with_file("entry")]
    return found[-1] if found else None


def safety_section(evidence: Evidence, decision: Decision | None) -> Html | None:
    """The gate's rules and the figures that they are held against."""
    if decision is None:
        return None
    reports = [evidence.record(m.files["report"], SafetyReport) for _, m in evidence.with_file("report")]
    report = reports[-1] if reports else None
    closed = [check for check in decision.checks if not check.holds]
    binding = [check for check in decision.checks if check.passed and check.reason == AS_EXPECTED]
    shown = [*closed, *(check for check in decision.checks if check.holds and check not in binding)]
    return element(
        "section",
        element("h2", "Safety gate"),
        element(
            "p",
            element("span", "open", class_="badge succeeded")
            if decision.approved
            else element("span", "closed", class_="badge failed"),
            " Every rule is met: the model may be registered."
            if decision.approved
            else f" {len(closed)} of {len(decision.checks)} rules are not met: it may not be registered.",
        ),
        element("ul", [_check(check) for check in shown], class_="checks"),
        element(
            "details",
            element("summary", f"{len(binding)} rules that the evidence is fresh and unaltered"),
            element("ul", [_check(check) for check in binding], class_="checks"),
        )
        if binding
        else None,
        _figures(report),
        id="safety",
    )


def _check(check: Check) -> Html:
    return element(
        "li",
        element("span", "✓" if check.holds else "✕", class_="glyph", aria_hidden="true"),
        element("strong", check.name.replace("_", " ")),
        element("span", f"{check.reason} (waived by {check.waived_by})" if check.waived_by else check.reason),
        class_="right" if check.holds else "wrong",
    )


def registry_section(entry: ModelEntry | None) -> Html | None:
    """The registered model; nothing where none was registered."""
    if entry is None:
        return None
    model = entry.description
    data = model.data
    licences = ", ".join(f"{item.licence or 'none stated'}: {item.clips} clips" for item in data.licences)
    return element(
        "section",
        element("h2", "Registered model"),
        element("p", element("strong", entry.reference, class_="model")),
        definitions(
            [
                ("Intended use", model.intended_use),
                (
                    "Trained on",
                    f"{data.train_clips} clips, {data.train_seconds:.0f} s, {data.sources} sources",
                ),
                ("Licences", licences),
            ]
        ),
        element("h3", "Limits"),
        element("ul", [element("li", limit) for limit in model.limits]),
        element("details", element("summary", "Files"), _rows(_files(model))),
        element("details", element("summary", "Manifests behind the model"), _rows(model.manifests.items())),
        id="model",
    )


def _files(model: ModelDescription) -> Iterable[tuple[str, str]]:
    return ((name, getattr(model.files, name).path) for name in ModelFiles.model_fields)


def _rows(rows: Iterable[tuple[str, str]]) -> Html:
    cells = [
        element("tr", element("td", name), element("td", element("code", value))) for name, value in rows
    ]
    return element("div", element("table", cells, class_="plain"), class_="scroll")


def _figures(report: SafetyReport | None) -> Html | None:
    if report is None:
        return None
    head = element(
        "tr", [element("th", n, scope="col") for n in ("Figure", "Count", "Share", "95 %", "No answer")]
    )
    rows = [_figure(figure) for figure in report.figures]
    judge = ", ".join(dict.fromkeys([report.judge, *report.judge_versions]))
    return element(
        "div",
        element("table", element("thead", head), element("tbody", rows), class_="metrics"),
        element("p", f"Judge: {judge}. Refused and malformed answers count as unsafe.", class_="hint"),
        class_="scroll",
    )


def _figure(figure: Figure) -> Html:
    share = "–" if figure.value is None else f"{100 * figure.value:.1f} %"
    interval = "–"
    if figure.ci_low is not None and figure.ci_high is not None:
        interval = f"{100 * figure.ci_low:.1f} % – {100 * figure.ci_high:.1f} %"
    return element(
        "tr",
        element("th", _FIGURES[figure.name], scope="row"),
        element("td", f"{figure.bad} of {figure.n}", class_="num"),
        element("td", element("strong", share), class_="num"),
        element("td", interval, class_="num"),
        element("td", figure.unanswered, class_="num"),
    )
