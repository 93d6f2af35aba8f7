"""The model card, in Markdown, after Mitchell et al. 2019 (Model Cards for Model Reporting)."""

from collections.abc import Iterable, Iterator

from veo_core.curate.card_tables import curation_table, quality_table
from veo_core.evaluate.records import Promotion, SummaryRow
from veo_core.markdown import table, text
from veo_core.registry.records import ModelDescription, TrainingRun
from veo_core.safety.records import Figure, SignOffs


def model_card(reference: str, promotion: Promotion, *, model: ModelDescription) -> str:
    """The card of a model; every word that comes from data is shown as text."""
    data = model.data
    parts = [
        f"# {text(reference)}",
        "Generator of short video clips with sound, from text or from text with a first frame.",
        "## Intended use",
        text(model.intended_use),
        "## Limits",
        *(f"- {text(limit)}" for limit in model.limits),
        "## Training data",
        f"{data.train_clips} clips ({data.train_seconds:.0f} s) from {data.sources} sources; "
        f"{data.validation_clips} further clips for validation.",
        table(
            ("Licence", "Sources", "Clips"),
            ((i.licence or "none stated", i.sources, i.clips) for i in data.licences),
        ),
        *([curation_table(model.curation)] if model.curation else []),
        quality_table(model.filters),
        "## Training",
        *_run(model.run),
        table(("Part", "Figure", "Value"), _training(model)),
        "## Evaluation",
        "Each figure with its 95 % interval. *Real*: the same figure on real clips. *Chance*: after prompts "
        "or sounds were exchanged between clips.",
        table(
            ("Metric", "Clips", "Value", "95 % interval", "n", "Real", "Chance"),
            (_row(row) for row in model.metrics if not row.note),
        ),
        *(f"- {text(row.metric)}: {text(row.note)}" for row in model.metrics if row.note),
        "## Promotion",
        *_promotion(promotion),
        "## Safety",
        table(("Figure", "Count", "95 % interval", "No answer"), map(_safety, model.safety)),
        "Rules of the gate that opened registration:",
        table(
            ("Rule", "Passed", "Reason"),
            (
                (check.name, "yes" if check.passed else "waived" if check.waived_by else "no", check.reason)
                for check in model.decision.checks
            ),
        ),
        *_sign_offs(model.sign_offs),
        "## Watermark and provenance of its clips",
        *_marks(model),
        "## Lineage",
        table(("Manifest", "sha256"), model.manifests.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _promotion(verdict: Promotion) -> Iterator[str]:
    """Whether it became the default version, and what differs from the one before."""
    yield f"{'Promoted' if verdict.promote else 'Not promoted'}: {text(verdict.reason)}."
    decided = [found for found in verdict.differences if found.verdict != "undecided"]
    if verdict.differences:
        yield (
            f"{len(verdict.differences)} comparisons with {text(verdict.baseline)} on the same prompts; "
            f"{len(decided)} differ significantly, all verdicts together wrong with a chance of 5 %."
        )
    if decided:
        rows = (
            (
                found.metric.replace("_", " "),
                f"{found.split} {found.mode}",
                _figure(found.candidate),
                _figure(found.baseline),
                f"{_figure(found.ci_low)} to {_figure(found.ci_high)}",
                found.verdict,
            )
            for found in decided
        )
        yield table(("Metric", "Clips", "This", "Before", "Difference, 95 %", "Verdict"), rows)


def _run(run: TrainingRun | None) -> Iterator[str]:
    """Seed, code and steps; what was not recorded is said so."""
    if run is None:
        yield "Seed, code and steps were not recorded."
        return
    yield (
        f"Seed {run.seed}; code {text(run.code)}. Speed, FLOPs and memory of each step are in the event "
        "files; machines and times are in the record of the run."
    )
    yield table(
        ("Part", "Steps", "Configuration", "Losses", "Event file"),
        (
            (part, "–" if t.steps is None else t.steps, t.config[:12], t.history[:12], t.events[:12])
            for part, t in run.parts.items()
        ),
    )


def _sign_offs(signed: SignOffs) -> Iterator[str]:
    """Who signed the report, and which rules were waived by whom, why and until when."""
    if signed.approvals:
        yield "Signed off by:"
        yield table(("Role", "Key"), ((a.role, a.key[:12]) for a in signed.approvals))
    if signed.waivers:
        yield "Rules that were waived:"
        yield table(
            ("Rule", "Owner", "Reason", "Expires", "Key"),
            ((w.rule, w.owner, w.reason, w.expires, w.key[:12]) for w in signed.waivers),
        )


def _marks(model: ModelDescription) -> Iterator[str]:
    """What its clips carry, and how to find it again."""
    yield (
        f"Watermarks of its clips carry the model id `{model.files.digest[:4]}`; C2PA manifests name the "
        f"digest `{model.files.digest}`. `veo verify-media FILE` reads both."
    )
    marks = model.marks
    if marks is None:
        yield "Whether the evaluated clips carried them was not recorded."
        return
    yield (
        f"Of {marks.clips} evaluated clips, {marks.watermarked} carry a watermark and {marks.signed} a C2PA "
        "manifest. The watermark's algorithm is this product's own and in no public list."
    )
    if marks.key_ids:
        published = " One of them is the published development key." if marks.development_key else ""
        yield f"Keys of the watermark: {', '.join(marks.key_ids)}.{published}"
    if marks.issuers:
        on_the_spot = (
            " At least one certificate was made on the spot: nobody vouches for it."
            if marks.local_certificate
            else ""
        )
        yield f"Signed by: {text(', '.join(marks.issuers))}.{on_the_spot}"


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
