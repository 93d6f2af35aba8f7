"""The contact sheet: every generated clip to play, and what the detectors saw and heard in it."""

from collections.abc import Sequence

from veo_core.evaluate.records import AttributeScore, ClipScore
from veo_core.html import Html, data_uri, element, join
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.format import short

_MAX_CLIPS = 64
_KINDS = {
    "seen t2v": "seen prompt",
    "held_out t2v": "held-out prompt",
    "two_objects t2v": "two objects",
    "custom t2v": "own prompt",
    "validation i2v": "from an image",
    "validation v2a": "sound for a video",
}
_MAX_TOTAL_BYTES = 12_000_000


def gallery_section(evidence: Evidence) -> Html | None:
    """Generated clips of the last evaluation, or of the last generation where that is not evaluated."""
    scores = _scores(evidence)
    if not scores:
        return None
    cards: list[Html] = []
    total = 0
    for score in scores[:_MAX_CLIPS]:
        total += score.media.bytes
        if total > _MAX_TOTAL_BYTES:
            break
        cards.append(_card(evidence, score))
    left = len(scores) - len(cards)
    filters = element("div", _filters(scores), class_="filters", role="group", aria_label="Filter clips")
    return element(
        "section",
        element("h2", "Generated clips"),
        element("p", f"{len(scores)} clips with sound. Press play to hear them.", class_="hint"),
        filters,
        element("div", cards, class_="gallery"),
        element("p", f"{left} more are in the store and not on this page.", class_="hint") if left else None,
        id="clips",
    )


def _scores(evidence: Evidence) -> list[ClipScore]:
    for _, manifest in reversed(list(evidence.with_table("scores"))):
        rows = evidence.table(manifest.tables["scores"], ClipScore)
        return sorted(
            (row for row in rows if row.group == "generated"),
            key=lambda row: (row.mode != "t2v", row.split != "seen", row.split, row.seed, row.prompt),
        )
    return []


def _filters(scores: Sequence[ClipScore]) -> list[Html]:
    kinds = ["all", *dict.fromkeys(_kind(score) for score in scores)]
    buttons = [
        element(
            "button", _words(kind), type="button", data_filter=kind, aria_pressed=str(kind == "all").lower()
        )
        for kind in (kinds if len(kinds) > 2 else kinds[:1])
    ]
    if any(score.attributes for score in scores):
        buttons += [
            element("button", name, type="button", data_filter=name, aria_pressed="false")
            for name in ("right", "wrong")
        ]
    return buttons if len(buttons) > 1 else []


def _card(evidence: Evidence, score: ClipScore) -> Html:
    data = evidence.bytes(evidence.as_it_leaves(score.media))
    right = bool(score.attributes) and all(attribute.right for attribute in score.attributes)
    return element(
        "article",
        element("div", _player(evidence, score, data), class_="frame"),
        element("p", score.prompt, class_="prompt"),
        element("p", f"saw: {score.sentence}", class_="saw") if score.sentence else None,
        element("p", score.problem, class_="problem") if score.problem else None,
        element("ul", [_mark(attribute) for attribute in score.attributes], class_="marks"),
        element(
            "p",
            f"{_words(_kind(score))} · seed {score.seed} · ",
            element("code", short(score.clip_id)),
            class_="hint",
        ),
        class_="clip",
        data_kind=_kind(score),
        data_right="right" if right else "wrong",
    )


def _player(evidence: Evidence, score: ClipScore, data: bytes | None) -> Html:
    if data is None:
        return element("p", "The file is not in the store.", class_="unknown")
    poster = evidence.bytes(score.poster) if score.poster else None
    return element(
        "video",
        src=data_uri(data, "video/mp4"),
        controls=True,
        loop=True,
        playsinline=True,
        preload="none" if poster else "metadata",
        poster=data_uri(poster, "image/jpeg") if poster else None,
        aria_label=f"generated clip: {score.prompt}",
    )


def _mark(attribute: AttributeScore) -> Html:
    seen = attribute.seen or "nothing"
    words = attribute.wanted if attribute.right else f"{attribute.wanted} → {seen}"
    if attribute.name == "count":
        words = f"objects: {words}"
    return element(
        "li",
        element("span", "✓ " if attribute.right else "✕ ", aria_hidden="true"),
        join(words),
        class_="right" if attribute.right else "wrong",
        title=f"{attribute.name}: wanted {attribute.wanted}, saw {seen}",
    )


def _kind(score: ClipScore) -> str:
    return f"{score.split} {score.mode}".strip()


def _words(kind: str) -> str:
    return _KINDS.get(kind, kind.replace("_", " "))
