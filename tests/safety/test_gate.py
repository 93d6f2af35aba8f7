"""The gate: open on good evidence, closed on everything else."""

from typing import Any

import pytest

from veo_core.evaluate.intervals import wilson
from veo_core.evaluate.records import EvaluationSummary, SummaryRow
from veo_core.safety.gate import Bindings, decide
from veo_core.safety.records import Figure, Policy, SafetyReport

POLICY = Policy()


def figure(name: str, bad: int, n: int, unanswered: int = 0) -> Figure:
    estimate = wilson(bad, n)
    return Figure(
        name=name,
        bad=bad,
        unanswered=unanswered,
        n=n,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )


def make_report(**changes: Any) -> SafetyReport:
    values = {
        "generated": "g" * 64,
        "evaluation": "e" * 64,
        "judge": "world-detector-1",
        "judge_versions": ["1"],
        "figures": [
            figure("unsafe_outputs", 0, 64),
            figure("red_team_passed", 1, 48),
            figure("ordinary_blocked", 0, 48),
        ],
    }
    return SafetyReport.model_validate(values | changes)


def row(metric: str, split: str, hits: int, n: int) -> SummaryRow:
    estimate = wilson(hits, n)
    return SummaryRow(
        metric=metric,
        split=split,
        mode="t2v",
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n=n,
        unit="share",
        better="higher",
    )


def make_summary(**changes: Any) -> EvaluationSummary:
    values = {
        "generated": "g" * 64,
        "dataset": "d" * 64,
        "rows": [
            row("following_all", "seen", 30, 32),
            row("following_all", "held_out", 26, 32),
            row("sync_share_100ms", "all", 50, 64),
        ],
    }
    return EvaluationSummary.model_validate(values | changes)


def bind(report: SafetyReport, summary: EvaluationSummary) -> Bindings:
    return Bindings(
        generated="g" * 64,
        evaluation="e" * 64,
        dataset="d" * 64,
        summary=summary.digest,
        report=report.digest,
    )


def closed_by(report: SafetyReport, summary: EvaluationSummary, policy: Policy = POLICY) -> list[str]:
    """Names of the rules that close the gate on evidence that is bound to itself."""
    decision = decide(report, policy, summary, bind(report, summary))
    assert decision.approved == (not decision.reasons)
    return [check.name for check in decision.checks if not check.passed]


def test_good_evidence_opens_the_gate():
    decision = decide(make_report(), POLICY, make_summary(), bind(make_report(), make_summary()))
    assert decision.approved
    assert decision.reasons == []
    assert decision.policy == POLICY.digest


def test_the_gate_is_pure():
    arguments = (make_report(), POLICY, make_summary(), bind(make_report(), make_summary()))
    assert decide(*arguments) == decide(*arguments)


@pytest.mark.parametrize(
    ("figures", "rule"),
    [
        ({"unsafe_outputs": (6, 64)}, "unsafe_outputs"),
        ({"red_team_passed": (12, 48)}, "red_team_passed"),
        ({"ordinary_blocked": (12, 48)}, "ordinary_blocked"),
    ],
)
def test_a_share_above_its_threshold_closes_the_gate(figures, rule):
    good = {"unsafe_outputs": (0, 64), "red_team_passed": (0, 48), "ordinary_blocked": (0, 48)}
    report = make_report(figures=[figure(name, *counts) for name, counts in (good | figures).items()])
    assert closed_by(report, make_summary()) == [rule]


def test_few_clips_close_the_gate_although_none_is_unsafe():
    figures = [
        figure("unsafe_outputs", 0, 8),
        figure("red_team_passed", 0, 48),
        figure("ordinary_blocked", 0, 48),
    ]
    assert closed_by(make_report(figures=figures), make_summary()) == ["unsafe_outputs"]


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_figure_closes_the_gate(missing):
    figures = list(make_report().figures)
    del figures[missing]
    assert closed_by(make_report(figures=figures), make_summary())


@pytest.mark.parametrize("name", ["unsafe_outputs", "red_team_passed", "ordinary_blocked"])
def test_a_figure_that_judged_nothing_closes_the_gate(name):
    empty = Figure(name=name, bad=0, unanswered=0, n=0, value=None, ci_low=None, ci_high=None)
    figures = [empty if f.name == name else f for f in make_report().figures]
    assert name in closed_by(make_report(figures=figures), make_summary())


def test_a_figure_reported_twice_closes_the_gate():
    figures = [*make_report().figures, figure("unsafe_outputs", 0, 500)]
    assert closed_by(make_report(figures=figures), make_summary()) == ["unsafe_outputs"]


def test_unanswered_questions_close_the_gate():
    figures = [
        figure("unsafe_outputs", 0, 64),
        figure("red_team_passed", 0, 48, unanswered=40),
        figure("ordinary_blocked", 0, 48),
    ]
    assert closed_by(make_report(figures=figures), make_summary()) == ["unanswered"]


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_metric_closes_the_gate(missing):
    rows = list(make_summary().rows)
    gone = rows.pop(missing)
    assert closed_by(make_report(), make_summary(rows=rows)) == [f"{gone.metric}, {gone.split}"]


def test_a_metric_without_a_value_closes_the_gate():
    rows = [
        r.model_copy(update={"value": None, "ci_low": None, "ci_high": None, "n": 0})
        for r in make_summary().rows
    ]
    assert len(closed_by(make_report(), make_summary(rows=rows))) == 3


def test_a_metric_below_its_threshold_closes_the_gate():
    rows = [row("following_all", "held_out", 8, 32), *(make_summary().rows[i] for i in (0, 2))]
    assert closed_by(make_report(), make_summary(rows=rows)) == ["following_all, held_out"]


def test_a_threshold_of_none_asks_for_no_evidence():
    policy = Policy(min_following_seen=None, min_following_held_out=None, min_sync_share=None)
    assert closed_by(make_report(), make_summary(rows=[]), policy) == []


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Every field of nested records and lists, with its path."""
    if isinstance(value, dict):
        return [leaf for key, child in value.items() for leaf in leaves(child, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, child in enumerate(value) for leaf in leaves(child, (*path, index))]
    return [(path, value)]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


OTHER = {
    "unsafe_outputs": "red_team_passed",
    "red_team_passed": "unsafe_outputs",
    "ordinary_blocked": "unsafe_outputs",
}


def flipped(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return OTHER.get(value) or {"higher": "lower"}.get(value) or value + "x"
    return 0.123 if value is None else value + 1 if isinstance(value, int) else value / 2 + 0.01


@pytest.mark.parametrize(("path", "value"), leaves(make_report().model_dump()))
def test_flipping_any_field_of_the_report_closes_the_gate(path, value):
    changed = SafetyReport.model_validate(replaced(make_report().model_dump(), path, flipped(value)))
    assert not decide(changed, POLICY, make_summary(), bind(make_report(), make_summary())).approved


@pytest.mark.parametrize(("path", "value"), leaves(make_summary().model_dump()))
def test_flipping_any_field_of_the_evaluation_closes_the_gate(path, value):
    changed = EvaluationSummary.model_validate(replaced(make_summary().model_dump(), path, flipped(value)))
    assert not decide(make_report(), POLICY, changed, bind(make_report(), make_summary())).approved


@pytest.mark.parametrize("name", ["generated", "evaluation", "dataset", "summary", "report"])
def test_evidence_about_another_artifact_closes_the_gate(name):
    bindings = bind(make_report(), make_summary())
    other = Bindings(**{**bindings.__dict__, name: "0" * 64})
    assert not decide(make_report(), POLICY, make_summary(), other).approved


@pytest.mark.parametrize("field", ["value", "ci_low", "ci_high", "bad", "n"])
def test_a_figure_that_does_not_follow_from_its_counts_closes_the_gate_even_when_bound(field):
    first = make_report().figures[0]
    changed = first.model_copy(update={field: (getattr(first, field) or 0) + 1})
    report = make_report(figures=[changed, *make_report().figures[1:]])
    assert closed_by(report, make_summary())


@pytest.mark.parametrize("record", [make_report(schema_version=3), make_summary(schema_version=3)])
def test_evidence_of_another_schema_closes_the_gate(record):
    report = record if isinstance(record, SafetyReport) else make_report()
    summary = record if isinstance(record, EvaluationSummary) else make_summary()
    assert len(closed_by(report, summary)) == 1
