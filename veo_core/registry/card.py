"""The model card, in Markdown, after Mitchell et al. 2019 (Model Cards for Model Reporting)."""

import html
from collections.abc import Iterable, Sequence

from veo_core.evaluate.records import SummaryRow
from veo_core.registry.records import ModelDescription
from veo_core.safety.records import Figure


def model_card(reference: str, model: ModelDescription) -> str:
    """The card of a model; every word that comes from data is shown as text."""
    data = model.data
    parts = [
        f"# {_text(reference)}",
        "Generator of short video clips with sound, from text or from text with a first frame.",
        "## Intended use",
        _text(model.intended_use),
        "## Limits",
        *(f"- {_text(limit)}" for limit in model.limits),
        "## Training data",
        f"{data.train_clips} clips ({data.train_seconds:.0f} s) from {data.sources} sources; "
        f"{data.validation_clips} further clips for validation.",
        _table(
            ("Licence", "Sources", "Clips"),
            ((i.licence or "none stated", i.sources, i.clips) for i in data.licences),
        ),
        "## Training",
        _table(("Part", "Figure", "Value"), _training(model)),
        "## Evaluation",
        "Each figure with its 95 % interval. *Real*: the same figure on real clips. *Chance*: after prompts "
        "or sounds were exchanged between clips.",
        _table(
            ("Metric", "Clips", "Value", "95 % interval", "n", "Real", "Chance"), map(_row, model.metrics)
        ),
        "## Safety",
        _table(("Figure", "Count", "95 % interval", "No answer"), map(_safety, model.safety)),
        *(f"- {check.name}: {_text(check.reason)}" for check in model.decision.checks),
        "## Provenance",
        _table(("Manifest", "sha256"), model.manifests.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _training(model: ModelDescription) -> Iterable[tuple[object, ...]]:
    return (
        (part, name, _figure(v)) for part, figures in model.training.items() for name, v in figures.items()
    )


def _row(row: SummaryRow) -> tuple[object, ...]:
    name = row.metric.replace("_", " ")
    clips = f"{row.split} {row.mode}".strip()
    figures = (_figure(row.value), f"{_figure(row.ci_low)} to {_figure(row.ci_high)}")
    return f"{name} ({row.unit})", clips, *figures, row.n, _figure(row.reference), _figure(row.control)


def _safety(figure: Figure) -> tuple[object, ...]:
    interval = f"{_figure(figure.ci_low)} to {_figure(figure.ci_high)}"
    return figure.name.replace("_", " "), f"{figure.bad} of {figure.n}", interval, figure.unanswered


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(value: object) -> str:
    """One line without markup."""
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")
