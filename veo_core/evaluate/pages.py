"""What the pages of a platform show of an evaluation."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest

from veo_core import markdown
from veo_core.evaluate.records import AttributeScore, ClipScore, ConfusionRow, EvaluationSummary, SummaryRow
from veo_core.evaluate.sync import exchange, match_events
from veo_core.html import Html, element
from veo_core.provenance.copies import as_it_leaves
from veo_core.publish import View, Views
from veo_core.records.generated import SAFETY_SPLITS
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.views.confusion import Point, confusion, curve
from veo_core.views.gallery import MOST_CLIPS, Card, gallery
from veo_core.views.page import page, percent, table

_CONFUSED = ("shape", "colour", "direction", "pitch")
_TOLERANCES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
_EXCHANGES = 4
_HEAD = ("Figure", "Prompts", "Mode", "Value", "95 %", "n", "Real clips", "By chance")


def attribute_confusion(attribute: str, manifest: Manifest, store: Store) -> View:
    """What prompts asked for against what detectors saw or heard, over all splits and modes."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in store.stream_table(manifest.tables["confusion"], ConfusionRow):
        if row.attribute == attribute:
            counts[row.wanted, row.seen] += row.count
    return confusion(counts)


def sync_curve(manifest: Manifest, store: Store) -> View:
    """The share of contacts with a sound within a tolerance in seconds: own sounds against other clips'.

    Sounds are exchanged between clips as for the figures' chance level: a generator whose sound does not
    follow its picture is on the diagonal.
    """
    clips = [clip for clip in _generated(manifest, store) if not clip.problem]
    own = [(clip, clip) for clip in clips]
    others = [(clips[i], clips[j]) for i, j in exchange(len(clips), rounds=_EXCHANGES, seed=0)]
    if not any(clip.contacts for clip in clips) or not others:
        return curve([])
    return curve(Point(tolerance, _met(others, tolerance), _met(own, tolerance)) for tolerance in _TOLERANCES)


def evaluation_note(manifest: Manifest, store: Store) -> View:
    """Every figure with its interval, in Markdown."""
    summary = _summary(manifest, store)
    parts = [
        "# Evaluation",
        f"{manifest.rows} clips were measured. Real clips: the same figure on clips of the dataset. "
        "By chance: that of a generator that ignores its prompt.",
        markdown.table(_HEAD, [_cells(row) for row in summary.rows if row.value is not None]),
    ]
    if missing := [row for row in summary.rows if row.value is None]:
        notes = [(row.metric, row.note) for row in missing]
        parts += ["## Not measured", markdown.table(("Figure", "Why"), notes)]
    return View(("\n\n".join(parts) + "\n").encode())


def evaluation_page(manifest: Manifest, store: Store) -> View:
    """Generated clips to play with what detectors saw in them, and every figure."""
    clips = _generated(manifest, store)
    right = [clip for clip in clips if clip.attributes and all(mark.right for mark in clip.attributes)]
    told = sum(bool(clip.attributes) for clip in clips)
    cards = [_card(clip, store) for clip in _mixed(clips)[:MOST_CLIPS]]
    share = percent(len(right) / told) if told else "–"
    rows = [_cells(row) for row in _summary(manifest, store).rows if row.value is not None]
    return page(
        f"Evaluation of {len(clips)} generated clips",
        f"all that the prompt mentions is right in {share} of {told} · manifest {manifest.digest[:12]}",
        {
            "Clips": gallery(cards, store, of=len(clips)),
            "Scores": table(_HEAD, rows) if rows else None,
        },
    )


VIEWS: Views = {
    **{f"{name}_confusion": partial(attribute_confusion, name) for name in _CONFUSED},
    "sync_curve": sync_curve,
    "markdown": evaluation_note,
    "html": evaluation_page,
}


def _generated(manifest: Manifest, store: Store) -> list[ClipScore]:
    rows = store.stream_table(manifest.tables["scores"], ClipScore)
    return [row for row in rows if row.group == "generated" and row.split not in SAFETY_SPLITS]


def _summary(manifest: Manifest, store: Store) -> EvaluationSummary:
    return EvaluationSummary.model_validate_json(store.get_bytes(manifest.files["summary"]))


def _met(pairs: Sequence[tuple[ClipScore, ClipScore]], tolerance: float) -> float:
    """The share of contacts, in pictures, that have an onset within the tolerance, in sounds."""
    met = sum(len(match_events(seen.contacts, heard.onsets, tolerance)) for seen, heard in pairs)
    return met / sum(len(seen.contacts) for seen, _ in pairs)


def _mixed(clips: Sequence[ClipScore]) -> list[ClipScore]:
    """The clips, one of each mode and split in turn."""
    kinds: dict[tuple[str, str], list[ClipScore]] = {}
    for clip in clips:
        kinds.setdefault((clip.mode, clip.split), []).append(clip)
    return [clip for turn in zip_longest(*kinds.values()) for clip in turn if clip is not None]


def _card(clip: ClipScore, store: Store) -> Card:
    marks = element("ul", [_mark(mark) for mark in clip.attributes], class_="marks")
    kind = " ".join(filter(None, (clip.split.replace("_", " "), clip.mode, f"· seed {clip.seed}")))
    return Card(
        media=as_it_leaves(store, clip.media),
        title=clip.prompt,
        notes=[
            *([marks] if clip.attributes else []),
            *([f"saw: {clip.sentence}"] if clip.sentence else []),
            *([clip.problem] if clip.problem else []),
            kind,
        ],
    )


def _mark(mark: AttributeScore) -> Html:
    words = mark.wanted if mark.right else f"{mark.wanted} → {mark.seen or 'nothing'}"
    if mark.name == "count":
        words = f"objects: {words}"
    sign, kind = ("✓ ", "right") if mark.right else ("✕ ", "wrong")
    return element("li", sign, words, class_=kind, title=mark.name)


def _cells(row: SummaryRow) -> tuple[str, ...]:
    interval = "–" if row.ci_low is None or row.ci_high is None else f"{row.ci_low:.3g} – {row.ci_high:.3g}"
    return (
        row.metric.replace("_", " "),
        row.split.replace("_", " "),
        row.mode,
        _number(row.value) if row.unit == "share" else f"{_number(row.value)} {row.unit}",
        interval,
        str(row.n),
        _number(row.reference),
        _number(row.control),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
