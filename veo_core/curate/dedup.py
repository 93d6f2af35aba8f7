"""Dedup: keep the best copy of each clip, by its packets, then by what it shows.

A clip is compared with kept clips only, best first: a chain of look-alikes never swallows a clip that
does not resemble the one that is kept.
"""

from pydantic import Field

from veo_core.curate.decisions import Ledger, publish_clips, read_clips
from veo_core.curate.similarity import Similarity
from veo_core.progress import track
from veo_core.records.base import Record
from veo_core.records.clip import Clip, ClipSignature
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main


class DedupConfig(Record):
    """When two clips count as copies."""

    min_motion: float = Field(
        default=0.85, ge=0, le=1, description="least likeness of what moves in two copies, a cosine"
    )
    max_colour: float = Field(
        default=2.0, ge=0, description="largest median difference of two copies' pictures, in levels of 255"
    )
    candidates: int = Field(default=64, ge=1, description="nearest clips that are compared in full")


def run(*, clips: Manifest, config: DedupConfig, context: Context) -> Manifest:
    """The best copy of each clip."""
    items = sorted(read_clips(clips, context.store), key=_quality, reverse=True)
    ledger = Ledger(context.stage)
    rows = context.store.stream_table(clips.tables["signatures"], ClipSignature)
    signatures = {row.clip_id: row.signature for row in rows}
    similarity = Similarity(
        [signatures[clip.clip_id] for clip in items],
        min_motion=config.min_motion,
        max_colour=config.max_colour,
        candidates=config.candidates,
    )
    by_packets: dict[tuple[str, int], Clip] = {}
    kept: set[int] = set()
    for index, clip in enumerate(track(items, total=len(items), label=context.stage, unit="clips")):
        twin = by_packets.get((clip.packet_hash, clip.shot))
        if twin is not None:
            ledger.decide(clip, "dropped", "exact_duplicate", value=1.0, evidence=_partner(twin))
            continue
        matches = [
            (similarity.match(index, other), other) for other in similarity.near(index) if other in kept
        ]
        copies = [(match, other) for match, other in matches if similarity.is_copy(match)]
        if copies:
            match, other = max(copies)
            ledger.decide(
                clip,
                "dropped",
                "near_duplicate",
                value=match.motion,
                threshold=config.min_motion,
                evidence=f"{_partner(items[other])}; colours differ by {-match.colour:.2f} levels",
            )
            continue
        kept.add(index)
        by_packets[clip.packet_hash, clip.shot] = clip
        ledger.decide(clip, "kept")
    return publish_clips(ledger, ledger.kept(items), store=context.store, config=config, received=len(items))


def _quality(clip: Clip) -> tuple[int, float, float, float, float, str]:
    """What makes one copy better than another: rights, no bars, no overlay, sharpness, loudness."""
    rights = {"allowed": 2, "unknown": 1, "denied": 0}[clip.source.ml_training]
    return (
        rights,
        -round(clip.signals.bars, 2),
        -round(clip.signals.text, 3),
        round(clip.signals.sharpness, 2),
        round(clip.signals.loudness, 1),
        clip.clip_id,
    )


def _partner(clip: Clip) -> str:
    return f"copy of {clip.clip_id} ({clip.source.name})"


if __name__ == "__main__":
    stage_main(run)
