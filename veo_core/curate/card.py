"""What a dataset says of itself: the files and figures that follow from its tables."""

from collections import Counter

from veo_core.curate.croissant import describe
from veo_core.curate.dataset_card import dataset_card
from veo_core.curate.funnel import filter_quality, recounted
from veo_core.curate.origins import Origins
from veo_core.curate.plan import plan_report
from veo_core.records.base import canonical_json
from veo_core.records.clip import Clip, Split
from veo_core.records.dataset import Bucket, DatasetSpec, PackedBucket, Shard
from veo_core.records.files import FileRef
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest
from veo_core.storage import Store


def describe_dataset(manifest: Manifest, *, fps: float, audio_rate: int, store: Store) -> Manifest:
    """The manifest with its shards, its figures, `spec.json`, `plan.json`, `croissant.json` and `card.md`.

    Args:
        manifest: a dataset's, with the tables `clips`, `ledger` and `shards`.
        fps: pictures per second of its clips.
        audio_rate: sound samples per second.
        store: where its tables are.
    """
    shards = store.get_table(manifest.tables["shards"], Shard)
    filters = filter_quality(manifest, store)
    found = Origins.of(store.stream_table(manifest.tables["clips"], Clip))
    curation = recounted(manifest, store)
    spec = _spec(shards, fps, audio_rate)
    files = {shard.name: shard.file for shard in shards if shard.split == "validation"}
    files["spec.json"] = store.put_bytes(spec.to_bytes(), ".json")
    files["plan.json"] = _put(plan_report(manifest, spec, store), store)
    files["croissant.json"] = _put(describe(manifest, shards, found, curation, filters), store)
    card = dataset_card(manifest, spec, found, curation, filters)
    files["card.md"] = store.put_bytes(card.encode(), ".md")
    return manifest.model_copy(
        update={
            "files": files,
            "tables": manifest.tables | {"funnel": store.put_table(curation, Outcome)},
            "shards": [shard.file for shard in shards if shard.split == "train"],
            "metrics": {
                "train_clips": float(sum(bucket.train_clips for bucket in spec.buckets)),
                "validation_clips": float(sum(bucket.validation_clips for bucket in spec.buckets)),
                "buckets": float(len(spec.buckets)),
            },
        }
    )


def _spec(shards: list[Shard], fps: float, audio_rate: int) -> DatasetSpec:
    clips: Counter[tuple[Split, str]] = Counter()
    for shard in shards:
        clips[shard.split, shard.bucket] += shard.clips
    buckets = []
    for name in {shard.bucket for shard in shards}:
        width, height, frames = map(int, name.split("x"))
        shape = Bucket(width=width, height=height, frames=frames)
        buckets.append(
            PackedBucket(
                **shape.model_dump(),
                seconds=(frames - 1) / fps,
                train_clips=clips["train", name],
                validation_clips=clips["validation", name],
            )
        )
    buckets.sort(key=lambda bucket: (-bucket.train_clips, bucket.name))
    return DatasetSpec(fps=fps, audio_rate=audio_rate, buckets=buckets)


def _put(value: object, store: Store) -> FileRef:
    return store.put_bytes(canonical_json(value), ".json")
