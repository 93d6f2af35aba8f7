"""A difference of two runs as text, the most telling first."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from veo_core.lineage.difference import (
    Cause,
    ClipChange,
    ClipFate,
    DataDifference,
    Interval,
    MetricDifference,
    RunDifference,
    RunSide,
    StageDifference,
)
from veo_core.lineage.terminal import visible
from veo_core.records.changes import ValueChange

_LISTED = 12
_SHOWN = 80


def difference_text(difference: RunDifference) -> str:
    """The whole difference."""
    return "\n".join(visible_lines(difference)) + "\n"


def visible_lines(difference: RunDifference) -> Iterator[str]:
    """The lines of `difference_text`."""
    yield _side("first", difference.first)
    yield _side("second", difference.second)
    yield ""
    yield from divergence_lines(difference)
    yield ""
    yield "stages"
    yield from stage_lines(difference.stages)
    yield from change_lines(difference)
    if difference.data is not None:
        yield from _data(difference.data)
    yield from _metrics(difference.metrics)
    yield from _listed("not known", difference.notes)


def change_lines(difference: RunDifference) -> Iterator[str]:
    """What differs in parameters, code and surroundings."""
    yield from _changes("parameters", difference.parameters)
    yield from _listed("commits", difference.commits)
    yield from _listed("files", [f"{change.name} {change.kind}" for change in difference.code])
    yield from _changes("images", difference.images)
    yield from _changes("libraries", difference.packages)
    yield from _changes("machine", difference.machine)


def divergence_lines(difference: RunDifference) -> Iterator[str]:
    """Where the two runs part, and why."""
    if difference.diverging:
        yield f"first divergence: {visible(difference.diverging)}"
        yield from _causes(difference.stage(difference.diverging).causes)
        return
    unknown = [stage.task for stage in difference.stages if stage.outcome != "equal"]
    if unknown:
        yield f"no output differs; not in both runs to its end: {visible(', '.join(unknown))}"
    else:
        yield f"equal: the outputs of every task ({len(difference.stages)})"
        changed = [s for s in difference.stages if any(cause.name for cause in s.causes)]
        for stage in changed[:1]:
            yield f"first change, without effect on outputs: {visible(stage.task)}"
            yield from _causes([cause for cause in stage.causes if cause.name])


def stage_lines(stages: Sequence[StageDifference]) -> Iterator[str]:
    """One line a task: equal or not, and what is known of the reason."""
    width = max((len(stage.task) for stage in stages), default=0)
    for stage in stages:
        outcome = stage.outcome.replace("only_", "only in the ")
        yield f"  {visible(stage.task):{width}}  {outcome:9} {_told(stage)}".rstrip()


def _told(stage: StageDifference) -> str:
    own = [cause.text for cause in stage.causes if cause.name]
    more = [f"and {len(own) - 2} more"] * (len(own) > 2)
    after = [f"after {', '.join(stage.upstream)}"] * bool(stage.upstream)
    if stage.outcome == "equal" and own:
        return visible("; ".join(["although", *own[:2], *more])).replace("although;", "although")
    return visible("; ".join([*after, *own[:2], *more]))


def _causes(causes: Sequence[Cause]) -> Iterator[str]:
    for cause in causes[:_LISTED]:
        yield f"  {visible(cause.text)}"
    if len(causes) > _LISTED:
        yield f"  and {len(causes) - _LISTED} more"


def _side(label: str, side: RunSide) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(side.created))
    dirty = ", with uncommitted changes" if side.git_dirty else ""
    commit = f"commit {side.git_sha[:12]}{dirty}" if side.git_sha else "commit not known"
    return visible(f"{label:6} {side.run} {side.state.lower()} on {side.target}, {when}, {commit}")


def _changes(title: str, changes: Sequence[ValueChange]) -> Iterator[str]:
    yield from _listed(title, [f"{c.name}: {_value(c, 'first')} -> {_value(c, 'second')}" for c in changes])


def _value(change: ValueChange, side: str) -> str:
    if change.kind == ("added" if side == "first" else "removed"):
        return "(none)"
    return _short(getattr(change, side))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"{title} ({len(lines)})"
        yield from (f"  {visible(line)}" for line in lines[:_LISTED])
        if len(lines) > _LISTED:
            yield f"  and {len(lines) - _LISTED} more; --json lists all"


def _data(data: DataDifference) -> Iterator[str]:
    yield ""
    yield "data"
    yield f"  kept clips: {data.first_kept} -> {data.second_kept}"
    for name in ("sources", "clips"):
        added, removed, changed = (
            getattr(data, f"{name}_{kind}") for kind in ("added", "removed", "changed")
        )
        yield f"  {name}: {added} added, {removed} removed, {changed} changed"
    for flow in data.flows[:_LISTED]:
        first = _end(flow.first_verdict, flow.first_stage, flow.first_rule)
        second = _end(flow.second_verdict, flow.second_stage, flow.second_rule)
        yield f"  {visible(f'{flow.items} items: {first} -> {second}')}"
    for source in data.sources[:_LISTED]:
        yield f"  {visible(f'source {source.name} {source.kind}')}"
    for clip in data.clips[:_LISTED]:
        yield f"  {visible(_clip(clip))}"
    listed = (len(data.flows), len(data.sources), len(data.clips))
    if max(listed) > _LISTED:
        yield "  and more; --json lists as many as --list says"


def _clip(change: ClipChange) -> str:
    return f"clip {change.item[:12]} of {change.source}: {_fate(change.first)} -> {_fate(change.second)}"


def _fate(fate: ClipFate | None) -> str:
    if fate is None:
        return "not there"
    if fate.verdict == "kept":
        return "kept"
    limit = f" (threshold {fate.threshold})" if fate.threshold else ""
    judge = f", judge {fate.judge} {fate.judge_version}".rstrip() if fate.judge else ""
    return f"{_end(fate.verdict, fate.stage, fate.rule)} {fate.value}{limit}{judge}".strip()


def _end(verdict: str, stage: str, rule: str) -> str:
    if not verdict:
        return "not there"
    return "kept" if verdict == "kept" else f"{verdict} by {stage} {rule}".strip()


def _metrics(metrics: Sequence[MetricDifference]) -> Iterator[str]:
    changed = [metric for metric in metrics if metric.first != metric.second]
    order = {"worse": 0, "better": 1, "undecided": 2, "": 3}
    changed.sort(key=lambda metric: order[metric.test.verdict if metric.test else ""])
    lines = [
        f"{' '.join((m.metric, m.split, m.mode)).strip()}: {_interval(m.first)} -> {_interval(m.second)}"
        + (f" {m.unit}" if m.unit else "")
        + _tested(m)
        for m in changed
    ]
    yield from _listed("metrics", lines)


def _interval(figure: Interval | None) -> str:
    if figure is None or figure.value is None:
        return "(none)"
    if figure.ci_low is None or figure.ci_high is None:
        return f"{figure.value:.4g}"
    return f"{figure.value:.4g} [{figure.ci_low:.4g}, {figure.ci_high:.4g}]"


def _tested(metric: MetricDifference) -> str:
    if metric.test is None:
        return ""
    test = metric.test
    interval = f"{test.difference:+.4g} [{test.ci_low:+.4g}, {test.ci_high:+.4g}]"
    return f"; {test.verdict}: {interval} on {test.prompts} prompts, p {test.p_value:.2g}"
