"""What the stages of curation kept and dropped, and why, as bars."""

from collections.abc import Sequence

from veo_core.html import Html, element, join
from veo_core.records.ledger import Outcome
from veo_core.views.svg import stacked_bar

_VERDICTS = ("kept", "dropped", "failed", "quarantined")
_REASONS = 12


def funnel(rows: Sequence[Outcome]) -> Html | None:
    """A bar for each stage in the order of the rows, with its reasons; None without rows."""
    stages: dict[str, list[Outcome]] = {}
    for row in rows:
        stages.setdefault(row.stage, []).append(row)
    if not stages:
        return None
    widest = max(sum(row.items for row in own) for own in stages.values())
    return join(
        element(
            "p",
            [element("span", element("i", class_=f"key {name}"), name) for name in _VERDICTS],
            class_="legend",
        ),
        element("ul", [_stage(name, own, widest) for name, own in stages.items()], class_="funnel"),
    )


def _stage(name: str, rows: Sequence[Outcome], widest: int) -> Html:
    into = sum(row.items for row in rows)
    parts = [(verdict, sum(row.items for row in rows if row.verdict == verdict)) for verdict in _VERDICTS]
    lost = sorted((row for row in rows if row.verdict != "kept"), key=lambda row: -row.items)
    more = len(lost) - _REASONS
    return element(
        "li",
        element("h3", name.replace("_", " ")),
        stacked_bar(parts, widest),
        element("span", f"{into} in, {dict(parts)['kept']} kept", class_="count"),
        element(
            "ul",
            [_reason(row) for row in lost[:_REASONS]],
            element("li", f"and {more} more reasons") if more > 0 else None,
            class_="reasons",
        )
        if lost
        else None,
    )


def _reason(row: Outcome) -> Html:
    rule = row.rule.replace("_", " ") or "no rule given"
    return element("li", element("i", class_=f"key {row.verdict}"), f"{row.items} {row.verdict}: {rule}")
