"""The card of the model that a run registered, with metadata as Hugging Face's hub reads them.

Source of the metadata's format: https://github.com/huggingface/hub-docs, modelcard.md.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from veo_core.errors import UsageError
from veo_core.evaluate.records import SummaryRow
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.subject import MissingError, model_of, moment, record_of
from veo_core.markdown import table, text
from veo_core.records.run import RunRecord
from veo_core.registry.records import ModelEntry

Json = dict[str, Any]

FILE = "model-card.md"
_TASKS = {"t2v": "text-to-video", "i2v": "image-to-video"}


def run_model_card(evidence: Evidence, out: Path) -> dict[str, bytes]:
    """The card as it was registered, below its metadata and above what the run's record tells.

    Raises:
        MissingError: the run registered no model, or the card was altered.
    """
    run, entry = record_of(evidence), model_of(evidence)
    try:
        card = evidence.store.get_bytes(entry.card).decode()
    except UsageError as error:
        raise MissingError(str(error)) from None
    metadata = yaml.safe_dump(_metadata(entry), sort_keys=False, width=10_000)
    made = "\n\n".join(_making(run))
    return {FILE: f"---\n{metadata}---\n\n{card.rstrip()}\n\n{made}\n".encode()}


def _metadata(entry: ModelEntry) -> Json:
    """What the hub shows and searches. Nobody has stated the model's licence."""
    measured = [row for row in entry.description.metrics if row.value is not None]
    groups: dict[tuple[str, str], list[SummaryRow]] = {}
    for row in measured:
        groups.setdefault((row.split, row.mode), []).append(row)
    metadata: Json = {
        "license": "unknown",
        "library_name": "diffusers",
        "pipeline_tag": "text-to-video",
        "tags": ["text-to-video", "image-to-video", "audio", "diffusion"],
    }
    if groups:
        results = [_result(split, mode, rows) for (split, mode), rows in groups.items()]
        metadata["model-index"] = [{"name": entry.reference, "results": results}]
    return metadata


def _result(split: str, mode: str, rows: list[SummaryRow]) -> Json:
    return {
        "task": {"type": _TASKS.get(mode, "other")},
        "dataset": {"type": "prompts", "name": f"{split} {mode}".strip()},
        "metrics": [{"type": row.metric, "value": row.value, "name": _name(row)} for row in rows],
    }


def _name(row: SummaryRow) -> str:
    """The metric with its unit, interval and number of prompts."""
    name = f"{row.metric.replace('_', ' ')} ({row.unit}"
    if row.ci_low is not None and row.ci_high is not None:
        name += f"; 95 % {row.ci_low:.4g} to {row.ci_high:.4g}"
    return f"{name}; n {row.n})"


def _making(run: RunRecord) -> Iterator[str]:
    """Where the model comes from, as the run's record has it."""
    yield "## Run"
    images = ", ".join(f"{pool}: {image}" for pool, image in run.images.items())
    libraries = ("torch", "torchvision", "torchaudio", "diffusers", "transformers", "av")
    versions = ", ".join(f"{name} {run.packages[name]}" for name in libraries if name in run.packages)
    facts = {
        "Run": run.run_id,
        "Pipeline": f"{run.pipeline}, IR sha256 {run.ir_digest}",
        "Started": moment(run.created),
        "Ended": "not recorded" if run.finished is None else moment(run.finished),
        "Code": f"git {run.git_sha or 'not recorded'}{', with uncommitted changes' if run.git_dirty else ''}",
        "Images": images or "none: tasks ran in the environment of the runner",
        "Libraries": versions or "not recorded",
        "Machine": f"{run.platform or 'not recorded'}, {run.cpus or 'unknown'} CPUs, Python {run.python}",
    }
    yield table(("Fact", "Value"), facts.items())
    if run.changes:
        yield "What it was trained on has changed since:"
        yield "\n".join(f"- {text(change.when)}: {text(change.why)}" for change in run.changes)
