"""The evaluation's figures of two runs side by side, tested on the prompts that both answered."""

from collections.abc import Mapping

from veo_core.evaluate.compare import differences_of
from veo_core.evaluate.records import ClipScore, SummaryRow
from veo_core.lineage.difference import Interval, MetricDifference, PairedTest
from veo_core.lineage.evidence import Evidence
from veo_core.records.files import TableRef

Place = tuple[str, str, str]


def metric_differences(first: Evidence, second: Evidence) -> list[MetricDifference]:
    """Every figure of either run's evaluation, in the order of the first; empty where neither has one."""
    rows = [_summary(evidence) for evidence in (first, second)]
    tests = _tests(first, second)
    found = []
    for place in dict.fromkeys([*rows[0], *rows[1]]):
        mine, theirs = (side.get(place) for side in rows)
        known = mine or theirs
        assert known is not None
        found.append(
            MetricDifference(
                metric=known.metric,
                split=known.split,
                mode=known.mode,
                unit=known.unit,
                better=known.better,
                first=_interval(mine),
                second=_interval(theirs),
                test=tests.get(place),
            )
        )
    return found


def _summary(evidence: Evidence) -> Mapping[Place, SummaryRow]:
    ref = _table(evidence, "summary")
    rows = evidence.table(ref, SummaryRow) if ref is not None else []
    return {(row.metric, row.split, row.mode): row for row in rows}


def _interval(row: SummaryRow | None) -> Interval | None:
    if row is None:
        return None
    return Interval(value=row.value, ci_low=row.ci_low, ci_high=row.ci_high, n=row.n)


def _tests(first: Evidence, second: Evidence) -> dict[Place, PairedTest]:
    refs = [_table(evidence, "scores") for evidence in (first, second)]
    if refs[0] is None or refs[1] is None or refs[0].sha256 == refs[1].sha256:
        return {}
    baseline, candidate = first.table(refs[0], ClipScore), second.table(refs[1], ClipScore)
    return {
        (test.metric, test.split, test.mode): PairedTest(
            difference=test.difference,
            ci_low=test.ci_low,
            ci_high=test.ci_high,
            p_value=test.p_value,
            prompts=test.prompts,
            verdict=test.verdict,
        )
        for test in differences_of(candidate, baseline, seed=0)
    }


def _table(evidence: Evidence, name: str) -> TableRef | None:
    found = [manifest.tables[name] for _, manifest in evidence.with_table(name)]
    return found[-1] if found else None
