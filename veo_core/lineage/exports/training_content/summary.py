"""The public summary of training content that Article 53(1)(d) of the EU AI Act asks of providers of models.

What the run's record does not tell is answered "not stated", for the provider to fill in. Only clips that the
model was trained on are counted; those held back for validation are not.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from veo_core.errors import UsageError
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.exports.clips import counted_clips
from veo_core.lineage.exports.curation import decided
from veo_core.lineage.exports.subject import MissingError, dataset_of, model_of, moment, record_of
from veo_core.lineage.exports.training_content.footage import Footage
from veo_core.lineage.exports.training_content.known import Known
from veo_core.lineage.exports.training_content.record import NOT_STATED, Answer, TrainingContentSummary
from veo_core.lineage.exports.training_content.sections import sections
from veo_core.markdown import table, text

JSON_FILE = "training-content-summary.json"
TEXT_FILE = "training-content-summary.md"
_TEMPLATE = (
    "Template for the Public Summary of Training Content for General-Purpose AI models required by Article "
    "53(1)(d) of Regulation (EU) 2024/1689 (AI Act); European Commission, AI Office, 24 July 2025"
)


def run_training_content(evidence: Evidence, out: Path) -> dict[str, bytes]:
    """The summary as JSON and as Markdown.

    Raises:
        MissingError: the run trained no model, or its dataset is missing or cannot be read.
    """
    run = record_of(evidence)
    _, dataset = dataset_of(evidence)
    if evidence.last("base") is None:
        raise MissingError("the run trained no model: no task published a base model")
    try:
        known = Known(
            run=run,
            model=_model(evidence),
            footage=Footage.of(counted_clips(evidence, dataset.tables["clips"])),
            outcomes=decided(evidence),
        )
    except (UsageError, ValidationError, pa.ArrowException) as error:
        raise MissingError(str(error).splitlines()[0]) from None
    summary = TrainingContentSummary(
        title="Public Summary of Training Content",
        template=_TEMPLATE,
        version="1",
        last_update=moment(run.finished if run.finished is not None else run.created),
        run=run.run_id,
        sections=sections(known),
    )
    value = json.dumps(summary.model_dump(mode="json"), indent=1)
    return {JSON_FILE: value.encode(), TEXT_FILE: ("\n\n".join(_markdown(summary)) + "\n").encode()}


def _model(evidence: Evidence) -> str:
    """The registered model with the digest of its files; empty where there is none."""
    try:
        entry = model_of(evidence)
    except MissingError:
        return ""
    return f"{entry.reference}, sha256 {entry.description.files.digest}"


def _markdown(summary: TrainingContentSummary) -> Iterator[str]:
    yield f"# {text(summary.title)}"
    yield text(summary.template) + "."
    yield (
        f"Version of the summary: {text(summary.version)}. Last update: {text(summary.last_update)}. Made "
        f"from the record of the run {text(summary.run)}; what that does not tell is marked *not stated* and "
        "is for the provider to fill in."
    )
    for section in summary.sections:
        level = "#" * (2 + section.number.count("."))
        yield f"{level} {section.number}. {section.title}"
        for answer in section.answers:
            yield from _answered(answer)


def _answered(answer: Answer) -> Iterator[str]:
    yield f"**{text(answer.question)}**"
    given = text(answer.answer)
    yield given if answer.stated else given.replace(NOT_STATED, f"*{NOT_STATED}*", 1)
    if answer.rows:
        yield table(list(answer.rows[0]), (list(row.values()) for row in answer.rows))
