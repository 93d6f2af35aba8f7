"""The pipeline's graph: a node a task, its details below on a click."""

import json
from collections.abc import Mapping
from typing import Any

from veo_core.html import Html, element, join
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.lineage.format import duration, moment, short, size
from veo_core.lineage.layout import Layout, layered
from veo_core.records.run import ArtifactRecord, TaskRecord

_NODE_WIDTH, _NODE_HEIGHT = 184, 46
_GAP_X, _GAP_Y = 20, 22
_GLYPHS = {
    "SUCCEEDED": "✓",
    "CACHED": "↺",
    "FAILED": "✕",
    "RUNNING": "▸",
    "PENDING": "·",
    "SKIPPED": "–",
    "CANCELLED": "■",
}


def graph_section(evidence: Evidence) -> Html | None:
    """The graph and each task's details; nothing where no task is known."""
    if not evidence.stages:
        return None
    layout = layered(_parents([stage.task for stage in evidence.stages]))
    width = layout.width * (_NODE_WIDTH + _GAP_X)
    height = layout.layers * (_NODE_HEIGHT + _GAP_Y)
    drawing = element(
        "svg",
        [_edge(layout, link, width) for link in layout.links],
        [_node(stage, layout, width) for stage in evidence.stages],
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        class_="graph narrow" if layout.width <= 2 else "graph",
        role="group",
        aria_label="Tasks of the pipeline in order of execution",
    )
    return element(
        "section",
        element("h2", "Pipeline"),
        element(
            "p",
            "Choose a task for its command, inputs, outputs and log. Links that longer paths imply "
            "are left out.",
            class_="hint",
        ),
        element(
            "div",
            element("div", drawing, class_="graph-scroll"),
            element(
                "div",
                [_details(evidence, stage) for stage in evidence.stages],
                element("p", "No task is chosen.", class_="unknown placeholder"),
                class_="tasks",
            ),
            class_="graph-area",
        ),
        id="pipeline",
    )


def _parents(tasks: list[TaskRecord]) -> dict[str, list[str]]:
    """For each task the tasks that it depends on; a group stands for every task in it."""
    names = [task.name for task in tasks]
    return {
        task.name: [
            name
            for dependency in task.depends_on
            for name in names
            if name == dependency or name.startswith(f"{dependency}/")
        ]
        for task in tasks
    }


def _centre(layout: Layout, node: str, width: int) -> tuple[float, float]:
    layer, position = layout.places[node]
    return (
        width / 2 + position * (_NODE_WIDTH + _GAP_X),
        layer * (_NODE_HEIGHT + _GAP_Y) + _GAP_Y / 2 + _NODE_HEIGHT / 2,
    )


def _edge(layout: Layout, link: tuple[str, str], width: int) -> Html:
    (x1, y1), (x2, y2) = (_centre(layout, node, width) for node in link)
    start, end = y1 + _NODE_HEIGHT / 2, y2 - _NODE_HEIGHT / 2
    middle = (start + end) / 2
    path = f"M{x1:.1f} {start:.1f} C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {end:.1f}"
    return element("path", d=path, class_="edge")


def _node(stage: StageEvidence, layout: Layout, width: int) -> Html:
    task = stage.task
    x, y = _centre(layout, task.name, width)
    left, top = x - _NODE_WIDTH / 2, y - _NODE_HEIGHT / 2
    facts = " · ".join(fact for fact in (task.state.lower(), duration(task.started, task.finished)) if fact)
    return element(
        "a",
        element("title", f"{task.name}: {facts}{'. ' + task.reason if task.reason else ''}"),
        element("rect", x=left, y=top, width=_NODE_WIDTH, height=_NODE_HEIGHT, rx=8, class_="box"),
        element("rect", x=left, y=top + 8, width=4, height=_NODE_HEIGHT - 16, rx=2, class_="strip"),
        element("text", _label(task.name), x=left + 14, y=top + 20, class_="name"),
        element("text", f"{_GLYPHS[task.state]} {facts}", x=left + 14, y=top + 36, class_="facts"),
        href=f"#task-{stage.index}",
        class_=f"node {task.state.lower()}",
    )


def _details(evidence: Evidence, stage: StageEvidence) -> Html:
    task = stage.task
    log = evidence.log_tail(task)
    facts: list[tuple[str, object]] = [
        ("Component", task.component),
        ("Reason", task.reason),
        ("Started", moment(task.started) if task.started is not None else "not started"),
        ("Took", duration(task.started, task.finished)),
        ("Attempts", task.attempts if task.attempts > 1 else ""),
        ("Exit code", "" if task.exit_code is None else task.exit_code),
        ("Peak memory", size(task.peak_rss_bytes)),
        ("Cache key", short(task.cache_key)),
        ("Manifest", stage.problem),
    ]
    return element(
        "article",
        element(
            "header",
            element("h3", task.name),
            element("span", task.state.lower(), class_=f"badge {task.state.lower()}"),
            element("a", "Close", href="#pipeline", class_="close"),
        ),
        definitions(facts),
        _block("Command", " ".join(task.command)),
        _block("Parameters", _pretty(task.parameters)),
        _artifacts("Inputs", task.inputs),
        _artifacts("Outputs", task.outputs),
        definitions([(name, value) for name, value in task.output_parameters.items()]),
        element("h4", "Log, last lines"),
        element("pre", log, class_="log", tabindex=0)
        if log
        else element("p", "There is no log.", class_="unknown"),
        id=f"task-{stage.index}",
        class_="task",
        tabindex=-1,
    )


def _artifacts(title: str, artifacts: Mapping[str, list[ArtifactRecord]]) -> Html | None:
    rows = [
        element(
            "tr",
            element("td", name),
            element("td", element("code", short(artifact.sha256) or "not known")),
            element("td", artifact.uri, class_="uri"),
        )
        for name, group in artifacts.items()
        for artifact in group
    ]
    if not rows:
        return None
    return join(element("h4", title), element("div", element("table", rows, class_="plain"), class_="scroll"))


def _block(title: str, content: str) -> Html | None:
    if not content:
        return None
    return element("details", element("summary", title), element("pre", content, tabindex=0))


def definitions(facts: list[tuple[str, object]]) -> Html | None:
    """A list of names and values; those without a value are left out."""
    known = [(name, value) for name, value in facts if value not in ("", None)]
    if not known:
        return None
    return element("dl", [(element("dt", name), element("dd", str(value))) for name, value in known])


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) if value else ""


def _label(name: str, most: int = 23) -> str:
    """A task's name short enough for its node: that of an iteration of a loop comes with its number."""
    *groups, own = name.split("/")
    label = f"{own} {groups[-1]}" if groups and groups[-1].isdecimal() else own
    return label if len(label) <= most else f"…{label[-most + 1 :]}"


def state_counts(tasks: list[TaskRecord]) -> str:
    """How many tasks are in which state, in words."""
    states = [task.state for task in tasks]
    return ", ".join(f"{states.count(state)} {state.lower()}" for state in _GLYPHS if state in states)
