"""Score generated clips beside real clips of the dataset: detectors, distances, memorisation."""

from functools import partial

from pydantic import Field

from veo_core.errors import UsageError
from veo_core.evaluate.intervals import Estimate
from veo_core.evaluate.measure import measure_all
from veo_core.evaluate.memorise import (
    Neighbour,
    TrainingClip,
    calibrate,
    marked,
    memorised_share,
    nearest,
    view_training_clips,
)
from veo_core.evaluate.metrics.catalogue import BY_NAME, METRICS, OTHER_METRICS
from veo_core.evaluate.metrics.following import confusions
from veo_core.evaluate.networks import NetworksConfig, open_networks, torch_is_missing
from veo_core.evaluate.pages import VIEWS
from veo_core.evaluate.records import (
    ClipFeatures,
    ClipScore,
    ConfusionRow,
    CopyView,
    EvaluationSummary,
    Measured,
    SummaryRow,
)
from veo_core.evaluate.summary import estimate_row, not_run, summarise
from veo_core.generate.suites import PromptSuite
from veo_core.records.base import Record
from veo_core.records.clip import Clip
from veo_core.records.generated import SAFETY_SPLITS, GeneratedClip, ModelFiles
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.stage import Context, stage_main
from veo_core.storage.published import published
from veo_core.world.grammar import parse

_NETWORK_OF = {
    "clip_score": "clip",
    "lpips_first_frame": "lpips",
    "lpips_drift": "lpips",
    "fvd": "video",
    "kvd": "video",
    "fad": "audio",
    "kad": "audio",
    "desync": "sync",
}


class EvaluateConfig(Record):
    """How much is measured."""

    real_clips: int = Field(
        default=64, ge=0, description="validation clips of the dataset that give each figure's floor"
    )
    training_clips: int = Field(
        default=4096, ge=0, description="training clips among which memorised ones are looked for; 0 for none"
    )
    rebuilt_clips: int = Field(
        default=16, ge=0, description="real clips that the model's autoencoders rebuild; 0 for none"
    )
    networks: NetworksConfig = Field(
        default_factory=NetworksConfig, description="weights of published metrics, by path and sha256"
    )


def run(*, generated: Manifest, dataset: Manifest, config: EvaluateConfig, context: Context) -> Manifest:
    """Measure every generated clip, and as many real ones, and summarise them with intervals.

    Clips for the safety evaluation alone are measured, and in no summary.

    Raises:
        UsageError: a manifest lacks its table of clips, nothing was generated, or weights are not as stated.
    """
    store = context.store
    made, clips = _generated(generated, context), _dataset(dataset, context)
    real = sorted_by((clip for clip in clips if clip.split == "validation"), "clip_id")[: config.real_clips]
    open_networks(config.networks)
    measured = list(
        context.map_shards(
            [*made, *map(_real, real)],
            partial(measure_all, root=store.root, networks=config.networks),
            identity=lambda score: f"{score.group} {score.split} {score.prompt} {score.seed} {score.clip_id}",
            result=Measured,
        )
    )
    scores = sorted_by((row.score for row in measured), "group", "split", "mode", "prompt", "seed", "clip_id")
    shown = [row for row in measured if row.score.split not in SAFETY_SPLITS]
    counted = [score for score in scores if score.split not in SAFETY_SPLITS]
    features = sorted_by(
        (row for one in shown for row in one.features), "space", "group", "mode", "prompt", "clip_id"
    )
    rows = summarise(counted, seed=context.seed, features=features, missing=missing(config.networks))
    train = sorted_by((clip for clip in clips if clip.split == "train"), "clip_id")
    views = _training_views(train[: config.training_clips], context)
    neighbours = _neighbours(shown, views)
    rows += _memorised_rows(neighbours, searched=len(views), of=len(train))
    rows += _rebuilt(generated, real[: config.rebuilt_clips], context)
    summary = EvaluationSummary(generated=generated.digest, dataset=dataset.digest, rows=rows)
    _show(rows)
    return Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=len(scores),
        tables={
            "scores": store.put_table(scores, ClipScore),
            "summary": store.put_table(rows, SummaryRow),
            "confusion": store.put_table(
                confusions([score for score in counted if score.group == "generated"]), ConfusionRow
            ),
            "features": store.put_table(features, ClipFeatures),
            "neighbours": store.put_table(neighbours, Neighbour),
        },
        files={"summary": store.put_bytes(summary.to_bytes(), ".json")},
        metrics={
            "/".join(filter(None, (r.metric, r.split, r.mode))): r.value for r in rows if r.value is not None
        },
    )


def missing(networks: NetworksConfig) -> dict[str, str]:
    """The metrics whose network is not configured, and what they need."""
    return {
        metric.name: f"needs {metric.needs}"
        for metric in METRICS
        if metric.name in _NETWORK_OF and getattr(networks, _NETWORK_OF[metric.name]) is None
    }


def _generated(manifest: Manifest, context: Context) -> list[ClipScore]:
    if "generated" not in manifest.tables:
        raise UsageError(f"the manifest of stage {manifest.stage!r} holds no table of generated clips")
    clips = context.store.get_table(manifest.tables["generated"], GeneratedClip)
    if not clips:
        raise UsageError("evaluate: nothing was generated; set generate.seen or generate.held_out")
    tags = _tags(manifest, context)
    return [
        ClipScore(
            clip_id=clip.clip_id,
            group="generated",
            prompt=clip.prompt,
            split=clip.split,
            mode=clip.mode,
            seed=clip.seed,
            tags=tags.get(clip.prompt, []) if clip.split == "custom" else [],
            media=clip.media,
            first_frame=clip.first_frame,
            first_frame_rebuilt=clip.first_frame_rebuilt,
        )
        for clip in clips
    ]


def _tags(generated: Manifest, context: Context) -> dict[str, list[str]]:
    """The tags of the prompts of the suite that clips were generated for; none without one."""
    if "suite" not in generated.files:
        return {}
    return published(generated, "suite", PromptSuite, context.store).tags


def _dataset(manifest: Manifest, context: Context) -> list[Clip]:
    if "clips" not in manifest.tables:
        raise UsageError(f"the manifest of stage {manifest.stage!r} holds no table of clips")
    return context.store.get_table(manifest.tables["clips"], Clip)


def _real(clip: Clip) -> ClipScore:
    return ClipScore(
        clip_id=clip.clip_id, group="real", prompt=_caption(clip), split="real", mode="", media=clip.media
    )


def _caption(clip: Clip) -> str:
    """The caption that came with the footage, because no detector wrote it; else the judge's.

    It speaks of the source's first shot.
    """
    own = clip.source.caption if clip.shot == 0 else ""
    if parse(own) is not None or clip.annotation is None:
        return own
    return clip.annotation.caption


def _training_views(train: list[Clip], context: Context) -> list[CopyView]:
    """The training clips that can be read, as the search for copies sees them."""
    views = sorted_by(
        context.map_shards(
            [TrainingClip(clip_id=clip.clip_id, media=clip.media) for clip in train],
            partial(view_training_clips, root=context.store.root),
            identity=lambda clip: f"training {clip.clip_id}",
            result=CopyView,
        ),
        "clip_id",
    )
    if len(views) < len(train):
        print(f"memorised: {len(train) - len(views)} of {len(train)} training clips cannot be read")
    return views


def _neighbours(measured: list[Measured], views: list[CopyView]) -> list[Neighbour]:
    """Generated and real clips with their nearest training clips; empty where there is nothing to search."""
    shown = [row for row in measured if row.copy_view is not None and row.score.mode != "v2a"]
    if not views or not shown:
        return []
    queries = [(row.copy_view, row.score.prompt, row.score.group) for row in shown if row.copy_view]
    found = [
        neighbour.model_copy(update={"mode": row.score.mode})
        for neighbour, row in zip(nearest(queries, views), shown, strict=True)
    ]
    thresholds = calibrate([neighbour for neighbour in found if neighbour.group == "real"])
    return sorted_by(marked(found, thresholds), "group", "mode", "prompt", "clip_id")


def _memorised_rows(neighbours: list[Neighbour], *, searched: int, of: int) -> list[SummaryRow]:
    """The share of copies in each mode whose pictures the model makes, and how much of the training clips
    they were looked for among.
    """
    metric = BY_NAME["memorised"]
    real = [neighbour for neighbour in neighbours if neighbour.group == "real"]
    made = [neighbour for neighbour in neighbours if neighbour.group == "generated"]
    if not real or not made:
        return [not_run(metric, f"needs {metric.needs}")]
    whole = Estimate(searched / of, searched / of, searched / of, of)
    floor = memorised_share(real).value
    return [
        estimate_row(BY_NAME["memorised_searched"], "training", "", whole),
        *(
            estimate_row(
                metric,
                "all",
                mode,
                memorised_share([neighbour for neighbour in made if neighbour.mode == mode]),
                reference=floor,
            )
            for mode in sorted({neighbour.mode for neighbour in made})
        ),
    ]


def _rebuilt(generated: Manifest, real: list[Clip], context: Context) -> list[SummaryRow]:
    metrics = [metric for metric in OTHER_METRICS if metric.name.startswith("vae_")]
    if "model" not in generated.files or not real or torch_is_missing():
        return [not_run(metric, f"needs {metric.needs}, and real clips") for metric in metrics]
    from veo_core.evaluate.rebuild import reconstruction_rows  # imports torch

    files = published(generated, "model", ModelFiles, context.store)
    return reconstruction_rows(files, real, context.store, seed=context.seed)


def _show(rows: list[SummaryRow]) -> None:
    for row in rows:
        where = f"{row.split} {row.mode}".strip()
        if row.value is not None:
            print(f"{row.metric} ({where}): {row.value:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}] n={row.n}")
        elif row.note:
            print(f"{row.metric}: {row.note}")


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
