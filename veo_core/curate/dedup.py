"""Dedup: keep the best copy of each clip, by its packets, then by what it shows and how it sounds.

A clip is compared with kept clips only, best first: a chain of look-alikes never swallows a clip that
does not resemble the one that is kept.
"""

from pydantic import Field

from veo_core.curate.decisions import Ledger, publish_clips, read_clips
from veo_core.curate.similarity import Similarity
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main


class DedupConfig(Record):
    """When two clips count as copies."""

    threshold: float = Field(
        default=0.8, ge=0, le=1, description="least similarity of near-duplicates, 0 to 1"
    )
    candidates: int = Field(default=64, ge=1, description="nearest clips that are compared in full")


def run(*, clips: Manifest, config: DedupConfig, context: Context) -> Manifest:
    """The best copy of each clip."""
    items = sorted(read_clips(clips, context.store), key=_quality, reverse=True)
    ledger = Ledger(context.stage)
    similarity = Similarity([clip.signature for clip in items])
    by_packets: dict[tuple[str, int], Clip] = {}
    kept: set[int] = set()
    for index, clip in enumerate(items):
        twin = by_packets.get((clip.packet_hash, clip.shot))
        if twin is not None:
            ledger.decide(clip, "dropped", "exact_duplicate", value=1.0, evidence=_partner(twin))
            continue
        best = max(
            (
                (similarity.compare(index, other), other)
                for other in similarity.near(index, config.candidates)
                if other in kept
            ),
            default=None,
        )
        if best is not None and best[0] >= config.threshold:
            ledger.decide(
                clip,
                "dropped",
                "near_duplicate",
                value=best[0],
                threshold=config.threshold,
                evidence=_partner(items[best[1]]),
            )
            continue
        kept.add(index)
        by_packets[clip.packet_hash, clip.shot] = clip
        ledger.decide(clip, "kept", value=best[0] if best else 0.0, threshold=config.threshold)
    return publish_clips(ledger, ledger.kept(items), store=context.store, config=config, received=len(items))


def _quality(clip: Clip) -> tuple[int, float, float, float, str]:
    """What makes one copy better than another: rights, whole picture, sharpness, loudness."""
    rights = {"allowed": 2, "unknown": 1, "denied": 0}[clip.source.ml_training]
    return (
        rights,
        -round(clip.signals.bars, 2),
        round(clip.signals.sharpness, 2),
        round(clip.signals.loudness, 1),
        clip.clip_id,
    )


def _partner(clip: Clip) -> str:
    return f"copy of {clip.clip_id} ({clip.source.name})"


if __name__ == "__main__":
    stage_main(run)
