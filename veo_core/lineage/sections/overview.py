"""The head of the report: what ran, how it ended, and the figures to read first."""

from veo_core.evaluate.records import SummaryRow
from veo_core.html import Html, element, join
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.format import duration, moment, short, size
from veo_core.lineage.sections.graph import definitions, state_counts
from veo_core.lineage.sections.metrics import figure
from veo_core.records.manifest import Manifest
from veo_core.records.run import RunRecord
from veo_core.registry.records import ModelEntry
from veo_core.safety.records import Decision

_STATE_WORDS = {
    "RUNNING": "was running when this page was written; if no process is running it any more, it was "
    "interrupted, and running it again continues it",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "was cancelled",
    "INTERRUPTED": "was interrupted: its runner was killed; running it again continues it",
}


def header(evidence: Evidence) -> Html:
    """Title, state and times."""
    run = evidence.run
    if run is None:
        return element(
            "header",
            element("p", "Run", class_="kicker"),
            element("h1", evidence.folder.name),
            element("p", element("span", "not known", class_="badge pending")),
            class_="top",
        )
    times = f"{moment(run.created)}" + (
        f", took {duration(run.created, run.finished)}" if run.finished else ""
    )
    return element(
        "header",
        element("p", run.pipeline, class_="kicker"),
        element("h1", run.run_id),
        element(
            "p",
            element("span", run.state.lower(), class_=f"badge {run.state.lower()}"),
            f" {times}",
        ),
        class_="top",
    )


def tiles(evidence: Evidence, decision: Decision | None, entry: ModelEntry | None) -> Html | None:
    """The figures to read first; those that are not known say so."""
    if evidence.run is None:
        return None
    first = next((m.counts for _, m in evidence.with_table("ledger") if m.counts), None)
    last = None
    for _, manifest in evidence.with_table("ledger"):
        last = manifest.counts or last
    generated = evidence.last("generate")
    rows: list[SummaryRow] = []
    for _, manifest in evidence.with_table("summary"):
        rows = evidence.table(manifest.tables["summary"], SummaryRow)
    kept = _tile(
        "Clips kept", f"{last.kept}" if last else None, f"of {first.received} collected" if first else ""
    )
    if _ends_with_dataset(evidence.run):
        return element("div", kept, _dataset_tiles(evidence.last("package")), class_="tiles")
    return element(
        "div",
        kept,
        _tile("Clips generated", f"{generated.rows}" if generated else None, "with sound"),
        _figure_tile("Prompts followed, seen", rows, "following_all", "seen"),
        _figure_tile("Prompts followed, held-out", rows, "following_all", "held_out"),
        _figure_tile("Contacts that sound in time", rows, "sync_share_100ms", "all"),
        _tile(
            "Safety gate",
            None if decision is None else ("open" if decision.approved else "closed"),
            ""
            if decision is None
            else f"{sum(c.passed for c in decision.checks)} of {len(decision.checks)} rules met",
        ),
        _registered(decision, entry),
        class_="tiles",
    )


def _ends_with_dataset(run: RunRecord) -> bool:
    """Whether the run's dataset is what it was for: nothing comes after it."""
    packages = [task.name for task in run.tasks if task.component == "package"]
    return bool(packages) and not any(name in task.depends_on for task in run.tasks for name in packages)


def _dataset_tiles(package: Manifest | None) -> list[Html]:
    """What a run gave that ends with the dataset."""
    clips = {split: _count(package, f"{split}_clips") for split in ("train", "validation")}
    shards = [*package.shards, *package.files.values()] if package else []
    tars = [ref for ref in shards if ref.path.endswith(".tar")]
    return [
        _tile("Clips to train on", clips["train"], ""),
        _tile("Clips held back", clips["validation"], "for validation"),
        _tile("Shards", f"{len(tars)}" if package else None, size(sum(ref.bytes for ref in tars))),
    ]


def _count(manifest: Manifest | None, metric: str) -> str | None:
    if manifest is None or metric not in manifest.metrics:
        return None
    return f"{manifest.metrics[metric]:.0f}"


def notices(evidence: Evidence) -> Html | None:
    """What went wrong, and what is not known."""
    parts: list[Html] = []
    run = evidence.run
    if run is not None and run.state in ("RUNNING", "INTERRUPTED"):
        parts.append(element("p", f"The run {_STATE_WORDS[run.state]}. Tasks: {state_counts(run.tasks)}."))
    for stage in evidence.stages:
        task = stage.task
        if task.state != "FAILED":
            continue
        tail = "\n".join(evidence.log_tail(task).splitlines()[-12:])
        why = task.reason or (
            f"exit code {task.exit_code}" if task.exit_code is not None else "no reason given"
        )
        parts.append(
            join(
                element("p", element("a", task.name, href=f"#task-{stage.index}"), f" failed: {why}"),
                element("pre", tail, tabindex=0) if tail else None,
            )
        )
    if evidence.notes:
        parts.append(element("ul", [element("li", note) for note in dict.fromkeys(evidence.notes)]))
    return element("section", parts, class_="notice", aria_label="Notices") if parts else None


def record_section(run: RunRecord | None) -> Html | None:
    """Where and with what the run was made."""
    if run is None:
        return None
    git = f"{run.git_sha}{' with changes that are not committed' if run.git_dirty else ''}"
    packages = "\n".join(f"{name} {version}" for name, version in sorted(run.packages.items()))
    return element(
        "section",
        element("h2", "Record"),
        definitions(
            [
                ("State", _STATE_WORDS[run.state]),
                ("Tasks", state_counts(run.tasks)),
                ("Started", moment(run.created)),
                ("Finished", moment(run.finished) if run.finished else ""),
                ("Git", git if run.git_sha else "not known"),
                ("Pipeline IR", short(run.ir_digest)),
                ("Python", run.python),
                ("Platform", run.platform),
                ("CPUs", run.cpus or ""),
                ("Memory", size(run.memory_bytes) if run.memory_bytes else ""),
            ]
        ),
        element("details", element("summary", "Parameters"), _parameters(run)) if run.parameters else None,
        element("details", element("summary", "Library versions"), element("pre", packages, tabindex=0))
        if packages
        else None,
        id="record",
    )


def _parameters(run: RunRecord) -> Html:
    rows = [
        element("tr", element("th", name, scope="row"), element("td", _value(value)))
        for name, value in run.parameters.items()
    ]
    return element("div", element("table", rows, class_="plain"), class_="scroll")


def _value(value: object) -> Html:
    if isinstance(value, dict):
        return element("ul", [element("li", element("code", k), ": ", str(v)) for k, v in value.items()])
    return join(str(value))


def _registered(decision: Decision | None, entry: ModelEntry | None) -> Html:
    if entry is None and decision is not None and not decision.approved:
        return _tile("Registered as", "–", "the gate is closed")
    return _tile("Registered as", entry.reference if entry else None, "")


def _figure_tile(title: str, rows: list[SummaryRow], metric: str, split: str) -> Html:
    row = next((r for r in rows if (r.metric, r.split, r.mode) == (metric, split, "t2v")), None)
    if row is None:
        return _tile(title, None, "")
    if row.value is None:
        return _tile(title, "–", "nothing to measure")
    interval = f"{100 * (row.ci_low or 0):.0f} – {100 * (row.ci_high or 0):.0f} %, n = {row.n}"
    return _tile(title, figure(row.value, row.unit), interval)


def _tile(title: str, value: str | None, detail: str) -> Html:
    return element(
        "div",
        element("p", title, class_="label"),
        element("p", value, class_="value")
        if value is not None
        else element("p", "not known", class_="value none"),
        element("p", detail, class_="detail") if detail and value is not None else None,
        class_="tile",
    )
