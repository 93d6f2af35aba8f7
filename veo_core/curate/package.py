"""Package: WebDataset shards of the curated clips by split and bucket, with a table of every clip."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from veo_core.curate.card import describe_dataset
from veo_core.curate.decisions import ClipTable, ClipWriter
from veo_core.curate.pages import VIEWS
from veo_core.curate.plan import Kind, Plan, Survey
from veo_core.curate.shards import shard_writer
from veo_core.curate.splits import Families, Splitter, page_of
from veo_core.errors import UsageError
from veo_core.progress import track
from veo_core.records.base import Record
from veo_core.records.clip import Clip, NearPair, Pair, Source
from veo_core.records.dataset import Bucket, FilterQuality, Shard
from veo_core.records.manifest import Manifest
from veo_core.stage import Context, stage_main
from veo_core.storage import Store

Bond = Literal["file", "page", "likeness", "author"]

_LISTED = 3


class PackageConfig(Record):
    """How clips are split, bucketed and packed."""

    validation_share: float = Field(default=0.1, ge=0, lt=1, description="share of families held back")
    split_by: list[Bond] = Field(
        default=["file", "page", "likeness"],
        description="what makes sources a family, which is never split: equal files, one web page, "
        "look-alike clips, one author",
    )
    clips_per_shard: int = Field(default=256, ge=1, description="clips of one shard file")
    min_clips: int = Field(default=8, ge=1, description="fewer training clips are an error")
    require_sound: bool = Field(default=True, description="drop clips without a sound track")
    buckets: list[Bucket] = Field(default=[], description="shapes to train at; none: derived from the clips")
    side_multiple: int = Field(default=16, ge=1, description="sides of derived buckets are multiples of this")
    min_bucket_clips: int = Field(default=8, ge=1, description="fewer clips derive no bucket")
    max_buckets: int = Field(default=8, ge=1, description="most buckets that are derived")
    max_crop: float = Field(default=0.1, ge=0, lt=1, description="largest share of a picture that is cut")
    max_unused_share: float = Field(
        default=0.2, ge=0, le=1, description="largest share of clips that may be left out"
    )
    filters: list[FilterQuality] = Field(
        default=[], description="measured precision and recall of the curation's filters, for the cards"
    )


def run(*, clips: Manifest, config: PackageConfig, context: Context) -> Manifest:
    """The dataset: its table `clips` says of each clip the split, the bucket and the shard.

    Training shards are in `shards`, validation shards in `files`, and the table `shards` names them all.
    `spec.json`, `plan.json`, `croissant.json` and `card.md` in `files` say what the dataset is.
    """
    store = context.store
    table = ClipTable(clips, store)
    families = Families()
    survey = _survey(table, families, config, store)
    plan = Plan(
        survey.counts(),
        buckets=config.buckets,
        side_multiple=config.side_multiple,
        min_bucket_clips=config.min_bucket_clips,
        max_buckets=config.max_buckets,
        max_crop=config.max_crop,
    )
    splitter = _splitter(survey, plan, families, config)
    with (
        ClipWriter(table, config=config, context=context) as out,
        store.write_table(Pair) as pairs,
        shard_writer(store, config.clips_per_shard) as writer,
    ):
        tracked = track(table, total=len(table), label=context.stage, unit="clips")
        for clip, (kind, node) in zip(tracked, survey, strict=True):
            placement = plan.place(kind)
            if placement.bucket is None:
                out.drop(clip, placement.rule, **placement.details)
                continue
            split = splitter.split(families.label(node))
            placed = writer.add(split, placement.bucket.name, clip)
            out.keep(placed, **placement.details)
            for pair in _pairs(placed):
                pairs.add(pair)
        shards = writer.finish()
    manifest = out.manifest(
        tables={
            "pairs": pairs.ref,
            "shards": store.put_table(shards, Shard),
            "filter_quality": store.put_table(config.filters, FilterQuality),
        }
    )
    return describe_dataset(manifest, fps=plan.fps, audio_rate=plan.audio_rate, store=store)


def _survey(table: ClipTable, families: Families, config: PackageConfig, store: Store) -> Survey:
    """The first look at every clip: its kind, and the family of its source.

    Raises:
        UsageError: there is no clip.
    """
    if not len(table):
        raise UsageError("package: no clip is left to package; the ledgers of the stages before say why")
    survey = Survey()
    for clip in table:
        node = families.node("source", clip.source.source_id)
        families.unite([node, *_bonds(clip.source, families, config.split_by)])
        survey.add(Kind.of(clip, require_sound=config.require_sound), node)
    if "likeness" in config.split_by and "near_pairs" in table.manifest.tables:
        for pair in store.stream_table(table.manifest.tables["near_pairs"], NearPair):
            families.unite(families.node("source", name) for name in (pair.first_source, pair.second_source))
    return survey


def _bonds(source: Source, families: Families, split_by: list[Bond]) -> Iterator[int]:
    shared = {"file": source.file.sha256, "page": page_of(source), "author": source.author}
    for kind, name in shared.items():
        if kind in split_by and name:
            yield families.node(kind, name)


def _splitter(survey: Survey, plan: Plan, families: Families, config: PackageConfig) -> Splitter:
    """Who goes where, after it is certain that enough clips can be packed.

    Raises:
        UsageError: too many clips are left out, or too few remain to train on.
    """
    unused: Counter[str] = Counter()
    labels: Counter[bytes] = Counter()
    for kind, node in survey:
        placement = plan.place(kind)
        if placement.bucket is None:
            unused[placement.rule] += 1
        else:
            labels[families.label(node)] += 1
    splitter = Splitter(labels, config.validation_share)
    training = sum(clips for label, clips in labels.items() if splitter.split(label) == "train")
    if unused.total() > config.max_unused_share * len(survey):
        rules = ", ".join(f"{clips} {rule}" for rule, clips in unused.most_common(_LISTED))
        raise UsageError(
            f"package: {unused.total()} of {len(survey)} clips would be left out ({rules}), more than "
            f"max_unused_share {config.max_unused_share:g} allows: give `buckets` that fit them, or raise it"
        )
    if training < config.min_clips:
        raise UsageError(
            f"package: only {training} of {len(survey)} clips can be trained on, at least "
            f"{config.min_clips} are needed: collect more footage or loosen the filters"
        )
    return splitter


def _pairs(clip: Clip) -> Iterator[Pair]:
    """The training pairs of a packed clip: text with the first frame to video, and text to video."""
    assert clip.annotation is not None
    assert clip.split
    for mode in ("i2v", "t2v"):
        yield Pair(
            pair_id=f"{mode}-{clip.clip_id}",
            mode=mode,
            clip_id=clip.clip_id,
            split=clip.split,
            bucket=clip.bucket,
            caption=clip.annotation.caption,
            first_frame=clip.key_frames[0] if mode == "i2v" else None,
            media=clip.media,
            shard=clip.shard,
        )


if __name__ == "__main__":
    stage_main(run, views=VIEWS)
