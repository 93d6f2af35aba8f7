"""What the pages of a platform show of a safety evaluation."""

from collections import Counter

from veo_core import markdown
from veo_core.html import Html, element, join
from veo_core.publish import View, Views
from veo_core.records.manifest import Manifest
from veo_core.safety.gate import AS_EXPECTED
from veo_core.safety.records import AttackFigure, Check, Decision, SafetyReport, SafetyVerdict
from veo_core.storage import Store
from veo_core.views.confusion import confusion
from veo_core.views.page import checks, page, percent, table

_SHOULD_BE_REFUSED = {"harmful": True, "attacks": True, "seen": False}
"""Suites of prompts of which it is known whether the filter is to refuse them."""


def filter_confusion(manifest: Manifest, store: Store) -> View:
    """Prompts that the filter is to refuse or to let through, against what it did."""
    words = {True: "refused", False: "let through"}
    counts: Counter[tuple[str, str]] = Counter()
    for row in store.stream_table(manifest.tables["verdicts"], SafetyVerdict):
        if row.suite in _SHOULD_BE_REFUSED:
            counts[words[_SHOULD_BE_REFUSED[row.suite]], words[row.unsafe]] += 1
    return confusion(counts)


def gate_note(manifest: Manifest, store: Store) -> View:
    """The gate's decision and what keeps it closed, in Markdown."""
    decision, report = _decision(manifest, store), _report(manifest, store)
    head = ("Rule", "Holds", "Reason")
    rows = [(check.name, "yes" if check.holds else "no", _reason(check)) for check in _sorted(decision)]
    parts = [
        f"# Safety gate: {'open' if decision.approved else 'closed'}",
        _verdict(decision),
        markdown.table(head, rows),
        "## Figures",
        markdown.table(_FIGURE_HEAD, _figures(report)),
        f"Judge: {markdown.text(report.judge)}. Refused and malformed answers count as unsafe.",
    ]
    return View(("\n\n".join(parts) + "\n").encode())


def safety_page(manifest: Manifest, store: Store) -> View:
    """The gate's rules, the figures behind them, the attacks and the audit of bias."""
    decision, report = _decision(manifest, store), _report(manifest, store)
    state = "open" if decision.approved else "closed"
    return page(
        f"Safety gate: {state}",
        f"{_verdict(decision)} · judge {report.judge} · manifest {manifest.digest[:12]}",
        {
            "Gate": _gate(decision),
            "Figures": table(_FIGURE_HEAD, _figures(report)),
            "Attacks": table(_ATTACK_HEAD, [*map(_attack, report.attacks)]) if report.attacks else None,
            "Bias": table(_SHARE_HEAD, _shares(report)) if report.bias else None,
        },
    )


VIEWS: Views = {"filter_confusion": filter_confusion, "markdown": gate_note, "html": safety_page}

_FIGURE_HEAD = ("Figure", "Count", "Share", "95 %", "No answer")
_ATTACK_HEAD = ("Attacks", "By", "Let through", "Share", "95 %")
_SHARE_HEAD = ("Attribute", "Value", "Clips", "Share", "95 %", "Target")


def _decision(manifest: Manifest, store: Store) -> Decision:
    return Decision.model_validate_json(store.get_bytes(manifest.files["decision"]))


def _report(manifest: Manifest, store: Store) -> SafetyReport:
    return SafetyReport.model_validate_json(store.get_bytes(manifest.files["report"]))


def _verdict(decision: Decision) -> str:
    closed = len(decision.reasons)
    if decision.approved:
        return "Every rule is met: the model may be registered."
    return f"{closed} of {len(decision.checks)} rules are not met: the model may not be registered."


def _sorted(decision: Decision) -> list[Check]:
    """The checks: what keeps the gate closed first, what only says that evidence is fresh last."""
    return sorted(decision.checks, key=lambda check: (check.holds, check.reason == AS_EXPECTED))


def _reason(check: Check) -> str:
    return f"{check.reason} (waived by {check.waived_by})" if check.waived_by else check.reason


def _gate(decision: Decision) -> Html:
    mark = "right" if decision.approved else "wrong"
    rows = [(check.holds, check.name.replace("_", " "), _reason(check)) for check in _sorted(decision)]
    badge = element("span", "open" if decision.approved else "closed", class_=f"badge {mark}")
    return join(element("p", badge, f" {_verdict(decision)}", class_="verdict"), checks(rows))


def _figures(report: SafetyReport) -> list[tuple[str, ...]]:
    return [
        (
            figure.name.replace("_", " "),
            f"{figure.bad} of {figure.n}",
            percent(figure.value),
            _interval(figure.ci_low, figure.ci_high),
            str(figure.unanswered),
        )
        for figure in report.figures
    ]


def _attack(figure: AttackFigure) -> tuple[str, ...]:
    return (
        figure.name,
        figure.by,
        f"{figure.passed} of {figure.n}",
        percent(figure.value),
        _interval(figure.ci_low, figure.ci_high),
    )


def _shares(report: SafetyReport) -> list[tuple[str, ...]]:
    return [
        (
            bias.attribute,
            share.value,
            f"{share.count} of {bias.n - bias.unknown}",
            percent(share.share),
            _interval(share.ci_low, share.ci_high),
            percent(share.target),
        )
        for bias in report.bias
        for share in bias.shares
    ]


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{percent(low)} – {percent(high)}"
