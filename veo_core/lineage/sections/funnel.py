"""The curation funnel: what came into each stage, what left it, and why."""

import re
from collections import defaultdict
from collections.abc import Sequence

from veo_core.html import Html, data_uri, element
from veo_core.lineage.evidence import Evidence
from veo_core.lineage.format import short
from veo_core.records.clip import Clip
from veo_core.records.ledger import Counts, Decision
from veo_core.records.manifest import Manifest
from veo_core.views.svg import stacked_bar

_EXAMPLES = 6
_MAX_CLIP_BYTES = 60_000
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_LOST = ("dropped", "failed", "quarantined")


def funnel_section(evidence: Evidence) -> Html | None:
    """A row for each stage that decides on items; nothing where there was none."""
    rows: list[Html] = []
    clips: dict[str, Clip] = {}
    widest = max(
        (m.counts.received + m.counts.added for _, m in evidence.with_table("ledger") if m.counts), default=0
    )
    for stage, manifest in evidence.with_table("ledger"):
        if manifest.counts is None:
            continue
        decisions = evidence.table(manifest.tables["ledger"], Decision)
        rows.append(_row(evidence, stage.task.name, manifest.counts, decisions, clips, widest))
        clips |= _clips(evidence, manifest)
    if not rows:
        return None
    legend = element(
        "p",
        [element("span", element("i", class_=f"key {name}"), f" {name}") for name in ("kept", *_LOST)],
        class_="legend",
    )
    return element(
        "section",
        element("h2", "Curation"),
        element("p", "Every item that came in was kept, dropped, failed or quarantined.", class_="hint"),
        legend,
        element("div", rows, class_="funnel"),
        id="curation",
    )


def _clips(evidence: Evidence, manifest: Manifest) -> dict[str, Clip]:
    if "clips" not in manifest.tables:
        return {}
    return {clip.clip_id: clip for clip in evidence.table(manifest.tables["clips"], Clip)}


def _row(
    evidence: Evidence,
    name: str,
    counts: Counts,
    decisions: Sequence[Decision],
    clips: dict[str, Clip],
    widest: int,
) -> Html:
    parts = [("kept", counts.kept), *((verdict, getattr(counts, verdict)) for verdict in _LOST)]
    reasons: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.verdict != "kept":
            reasons[decision.verdict, decision.rule].append(decision)
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    into = f"{counts.received}" + (f" + {counts.added} added" if counts.added else "")
    return element(
        "div",
        element("h3", name),
        element("div", stacked_bar(parts, widest), class_="funnel-bar"),
        element("p", f"{into} in, ", element("strong", f"{counts.kept} kept"), class_="funnel-count"),
        element("div", [_reason(evidence, key, found, clips) for key, found in ordered], class_="reasons")
        if ordered
        else None,
        class_="funnel-row",
    )


def _reason(
    evidence: Evidence, key: tuple[str, str], decisions: Sequence[Decision], clips: dict[str, Clip]
) -> Html:
    verdict, rule = key
    shown = decisions[:_EXAMPLES]
    more = len(decisions) - len(shown)
    return element(
        "details",
        element(
            "summary",
            element("span", class_=f"key {verdict}"),
            f" {len(decisions)} {verdict}: ",
            element("code", rule or "no rule given"),
        ),
        element("ul", [_example(evidence, d, clips.get(d.item)) for d in shown], class_="examples"),
        element("p", f"and {more} more", class_="hint") if more else None,
    )


def _example(evidence: Evidence, decision: Decision, clip: Clip | None) -> Html:
    measured = ""
    if decision.value:
        measured = decision.value + (f" (limit {decision.threshold})" if decision.threshold else "")
    return element(
        "li",
        element("div", _picture(evidence, clip), class_="frame") if clip else None,
        element(
            "div",
            element("code", short(decision.item)),
            element("p", clip.source.name) if clip else None,
            element("p", measured) if measured else None,
            element("p", _shortened(decision.evidence), class_="evidence") if decision.evidence else None,
            element("p", f"judge {decision.judge} {decision.judge_version}", class_="hint")
            if decision.judge
            else None,
        ),
    )


def _shortened(words: str) -> str:
    """Words with their digests cut short."""
    return _DIGEST.sub(lambda match: short(match[0]), words)


def _picture(evidence: Evidence, clip: Clip) -> Html | None:
    """The clip to play where it is small, or else its first key frame."""
    if clip.media.bytes <= _MAX_CLIP_BYTES and (data := evidence.bytes(clip.media)):
        return element(
            "video",
            src=data_uri(data, "video/mp4"),
            controls=True,
            loop=True,
            preload="none" if clip.key_frames else "metadata",
            poster=_poster(evidence, clip),
            aria_label=clip.source.caption or "clip",
        )
    poster = _poster(evidence, clip)
    return element("img", src=poster, alt=clip.source.caption or "key frame") if poster else None


def _poster(evidence: Evidence, clip: Clip) -> str | None:
    data = evidence.bytes(clip.key_frames[0]) if clip.key_frames else None
    return data_uri(data, "image/jpeg") if data else None
