"""A run's page: its graph, its tasks with inputs, outputs and logs, what went wrong, how it was judged."""

import codecs
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.explorer.documents import Graph, LogDocument, Node, Notice, RunDocument, RunSummary, Task
from veo_core.explorer.findings import find_decision, find_promotion, gate_summary
from veo_core.explorer.library import Run
from veo_core.explorer.salvage import damaged_record
from veo_core.explorer.training import trains
from veo_core.lineage.evidence import Evidence, StageEvidence
from veo_core.lineage.layout import layered
from veo_core.records.run import TaskRecord

_NOTICE_LINES = 12
_TAIL_BYTES = 65_536
_MOST_BYTES = 262_144
_PAGES = {
    "funnel": {"ledger"},
    "clips": {"ledger"},
    "training": {"history"},
    "evaluation": {"scores", "generated", "report"},
    "model": {"entry"},
}
"""Tables and files of manifests that give a page content."""


def run_document(run: Run, summary: RunSummary) -> RunDocument:
    """What ran, how it ended, and what is not known."""
    evidence = run.evidence
    decision, promotion = find_decision(evidence), find_promotion(evidence)
    record = evidence.run
    return RunDocument(
        summary=summary,
        pages=_pages(evidence),
        graph=_graph(evidence) if evidence.stages else None,
        tasks=[_task(run, stage) for stage in evidence.stages],
        notices=[_notice(evidence, stage) for stage in evidence.stages if stage.task.state == "FAILED"],
        gate=gate_summary(decision),
        promotion=promotion.model_copy(update={"differences": []}) if promotion else None,
        record=_without_tasks(record.model_dump(mode="json") if record else damaged_record(run)),
        changes=record.changes if record else [],
        notes=list(dict.fromkeys([*evidence.notes, *summary.notes])),
    )


def log_document(run: Run, index: int, start: int | None) -> LogDocument:
    """A part of a task's log: from a byte on, or its end.

    Raises:
        UsageError: there is no such task.
    """
    if not 0 <= index < len(run.evidence.stages):
        raise UsageError(f"run {run.folder.name} has no task {index}")
    task = run.evidence.stages[index].task
    path = _log(run, task)
    if path is None:
        return LogDocument(text="", start=0, end=0, size=0, notes=["there is no log"])
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        begin = max(0, size - _TAIL_BYTES) if start is None else min(max(start, 0), size)
        stream.seek(begin)
        data = stream.read(_MOST_BYTES)
    end = begin + len(data)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final=end == size)
    pending, _ = decoder.getstate()
    return LogDocument(text=text, start=begin, end=end - len(pending), size=size)


def _log(run: Run, task: TaskRecord) -> Path | None:
    """A task's log file below the run's folder; None where there is none."""
    if not task.log:
        return None
    path = (run.folder / task.log).resolve()
    return path if path.is_relative_to(run.folder.resolve()) and path.is_file() else None


def _pages(evidence: Evidence) -> list[str]:
    """Pages with content; training has some as soon as a stage trains."""
    manifests = [stage.manifest for stage in evidence.stages if stage.manifest is not None]
    found = {name for manifest in manifests for name in (*manifest.tables, *manifest.files)}
    if any(stage.task.state == "RUNNING" and trains(stage.task) for stage in evidence.stages):
        found.add("history")
    return [page for page, names in _PAGES.items() if names & found]


def _graph(evidence: Evidence) -> Graph:
    names = [stage.task.name for stage in evidence.stages]
    index = {name: number for number, name in enumerate(names)}
    layout = layered(_parents([stage.task for stage in evidence.stages]))
    return Graph(
        nodes=[
            Node(index=number, name=name, label=_label(name), layer=layer, position=position)
            for number, name in enumerate(names)
            for layer, position in [layout.places[name]]
        ],
        links=[(index[parent], index[child]) for parent, child in layout.links],
        layers=layout.layers,
        width=layout.width,
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


def _label(name: str) -> str:
    """A task's own name; that of an iteration of a loop comes with its number."""
    *groups, own = name.split("/")
    return f"{own} {groups[-1]}" if groups and groups[-1].isdecimal() else own


def _task(run: Run, stage: StageEvidence) -> Task:
    manifest, log = stage.manifest, _log(run, stage.task)
    return Task.model_validate(
        {
            **stage.task.model_dump(),
            "index": stage.index,
            "stage": manifest.stage if manifest else "",
            "problem": stage.problem,
            "counts": manifest.counts.model_dump() if manifest and manifest.counts else {},
            "metrics": manifest.metrics if manifest else {},
            "rows": manifest.rows if manifest else None,
            "tables": {name: ref.rows for name, ref in manifest.tables.items()} if manifest else {},
            "log_bytes": log.stat().st_size if log else None,
        }
    )


def _notice(evidence: Evidence, stage: StageEvidence) -> Notice:
    task = stage.task
    why = task.reason or (f"exit code {task.exit_code}" if task.exit_code is not None else "no reason given")
    tail = "\n".join(evidence.log_tail(task).splitlines()[-_NOTICE_LINES:])
    return Notice(task=stage.index, text=f"{task.name} failed: {why}", log=tail)


def _without_tasks(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("tasks", "changes")}
