"""Score generated clips with the detectors, beside real clips of the dataset."""

from functools import partial

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.evaluate.measure import measure_clips
from veo_core.evaluate.records import ClipScore, EvaluationSummary, SummaryRow
from veo_core.evaluate.summary import summarise
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.generated import GeneratedClip
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.stage import Context, stage_main
from veo_core.world.grammar import parse


class EvaluateConfig(Record):
    """How much is measured."""

    real_clips: int = Field(
        default=64, ge=0, description="validation clips of the dataset that give each figure's floor"
    )


def run(*, generated: Manifest, dataset: Manifest, config: EvaluateConfig, context: Context) -> Manifest:
    """Measure every generated clip, and as many real ones, and summarise them with intervals.

    Raises:
        UsageError: a manifest lacks its table of clips, or nothing was generated.
    """
    unmeasured = [*_generated(generated, context), *_real(dataset, config.real_clips, context)]
    scores = sorted_by(
        context.map_shards(
            unmeasured,
            partial(measure_clips, root=context.store.root),
            identity=lambda score: f"{score.group} {score.split} {score.prompt} {score.clip_id}",
            result=ClipScore,
        ),
        "group",
        "split",
        "mode",
        "prompt",
        "seed",
        "clip_id",
    )
    rows = summarise(scores, seed=context.seed)
    summary = EvaluationSummary(generated=generated.digest, dataset=dataset.digest, rows=rows)
    _show(rows)
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=len(scores),
        tables={
            "scores": context.store.put_table(scores, ClipScore),
            "summary": context.store.put_table(rows, SummaryRow),
        },
        files={"summary": context.store.put_bytes(summary.to_bytes(), ".json")},
        metrics={
            "/".join(filter(None, (r.metric, r.split, r.mode))): r.value for r in rows if r.value is not None
        },
    )


def _generated(manifest: Manifest, context: Context) -> list[ClipScore]:
    if "generated" not in manifest.tables:
        raise UsageError(f"the manifest of stage {manifest.stage!r} holds no table of generated clips")
    clips = context.store.get_table(manifest.tables["generated"], GeneratedClip)
    if not clips:
        raise UsageError("evaluate: nothing was generated; set generate.seen or generate.held_out")
    return [
        ClipScore(
            clip_id=clip.clip_id,
            group="generated",
            prompt=clip.prompt,
            split=clip.split,
            mode=clip.mode,
            seed=clip.seed,
            media=clip.media,
            first_frame=clip.first_frame,
            first_frame_rebuilt=clip.first_frame_rebuilt,
        )
        for clip in clips
    ]


def _real(manifest: Manifest, count: int, context: Context) -> list[ClipScore]:
    if "clips" not in manifest.tables:
        raise UsageError(f"the manifest of stage {manifest.stage!r} holds no table of clips")
    clips = context.store.get_table(manifest.tables["clips"], Clip)
    validation = sorted_by((clip for clip in clips if clip.split == "validation"), "clip_id")[:count]
    return [
        ClipScore(
            clip_id=clip.clip_id, group="real", prompt=_caption(clip), split="real", mode="", media=clip.media
        )
        for clip in validation
    ]


def _caption(clip: Clip) -> str:
    """The caption that came with the footage, because no detector wrote it; else the judge's.

    It speaks of the source's first shot.
    """
    own = clip.source.caption if clip.shot == 0 else ""
    if parse(own) is not None or clip.annotation is None:
        return own
    return clip.annotation.caption


def _show(rows: list[SummaryRow]) -> None:
    for row in rows:
        if row.value is not None:
            where = f"{row.split} {row.mode}".strip()
            print(f"{row.metric} ({where}): {row.value:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}] n={row.n}")


if __name__ == "__main__":
    stage_main(run)
