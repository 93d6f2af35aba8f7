"""Package: WebDataset shards of the curated clips, with tables of clips and of training pairs."""

import io
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence

from pydantic import Field

from veo_core.curate.decisions import Ledger, publish, read_clips
from veo_core.errors import UsageError
from veo_core.progress import track
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Clip, Pair
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.stage import Context, stage_main
from veo_core.storage import Store


class PackageConfig(Record):
    """How clips are split and packed."""

    validation_share: float = Field(default=0.1, ge=0, lt=1, description="share of sources held back")
    clips_per_shard: int = Field(default=256, ge=1, description="clips of one shard file")
    min_clips: int = Field(default=8, ge=1, description="fewer training clips are an error")


class DatasetSpec(Record):
    """What every clip of a packaged dataset is."""

    height: int
    width: int
    fps: float
    frames: int
    seconds: float = Field(description="from the first to the last frame; the sound covers at least this")
    audio_rate: int


def run(*, clips: Manifest, config: PackageConfig, context: Context) -> Manifest:
    """The dataset: training shards in `shards`, validation shards and `spec.json` in `files`."""
    items = read_clips(clips, context.store)
    ledger = Ledger(context.stage)
    spec = _common_spec(items)
    whole = [clip for clip in items if not _unfit(clip, spec, ledger)]
    split = [
        clip.model_copy(update={"split": split_of(clip, config)}) for clip in sorted_by(whole, "clip_id")
    ]
    for clip in split:
        ledger.decide(clip, "kept")
    training = sum(clip.split == "train" for clip in split)
    if training < config.min_clips:
        raise UsageError(
            f"package: only {training} of {len(items)} clips can be trained on, at least "
            f"{config.min_clips} are needed: collect more footage or loosen the filters"
        )
    shards: dict[str, FileRef] = {}
    pairs: list[Pair] = []
    groups = list(_groups(split, config.clips_per_shard))
    for name, group in track(groups, total=len(groups), label=context.stage, unit="shards"):
        shards[name] = context.store.put_bytes(_tar(group, context.store), ".tar")
        pairs += [pair for clip in group for pair in _pairs(clip, name)]
    files = {name: ref for name, ref in shards.items() if name.startswith("validation")}
    files["spec.json"] = context.store.put_bytes(spec.to_bytes(), ".json")
    return publish(
        ledger,
        store=context.store,
        config=config,
        received=len(items),
        tables={"clips": (split, Clip), "pairs": (sorted_by(pairs, "pair_id"), Pair)},
        rows=len(split),
        files=files,
        shards=[ref for name, ref in shards.items() if name.startswith("train")],
        metrics={"train_clips": float(training), "validation_clips": float(len(split) - training)},
    )


def split_of(clip: Clip, config: PackageConfig) -> str:
    """The split of a clip, decided by its source's content: shots of one source never part."""
    share = int(sha256_bytes(f"split {clip.source.file.sha256}".encode())[:8], 16) / 2**32
    return "validation" if share < config.validation_share else "train"


def _spec_of(clip: Clip) -> DatasetSpec:
    facts = clip.facts
    return DatasetSpec(
        height=facts.height,
        width=facts.width,
        fps=facts.fps,
        frames=facts.frames,
        seconds=(facts.frames - 1) / facts.fps,
        audio_rate=facts.audio_rate,
    )


def _common_spec(clips: Sequence[Clip]) -> DatasetSpec:
    """The specification of most clips.

    Raises:
        UsageError: there is no clip.
    """
    if not clips:
        raise UsageError("package: no clip is left to package; the ledgers of the stages before say why")
    counted = Counter(_spec_of(clip).to_bytes() for clip in clips)
    most = max(counted.items(), key=lambda entry: (entry[1], entry[0]))[0]
    return DatasetSpec.model_validate_json(most)


def _unfit(clip: Clip, spec: DatasetSpec, ledger: Ledger) -> bool:
    """Whether a clip cannot be packed, which goes to the ledger."""
    if clip.annotation is None:
        ledger.decide(clip, "dropped", "no_caption")
        return True
    own = _spec_of(clip)
    if own != spec:
        ledger.decide(
            clip,
            "dropped",
            "other_shape",
            value=f"{own.width}x{own.height}",
            threshold=f"{spec.width}x{spec.height}",
        )
        return True
    return False


def _groups(clips: Sequence[Clip], size: int) -> Iterator[tuple[str, list[Clip]]]:
    """Shard names with their clips."""
    for split in ("train", "validation"):
        members = [clip for clip in clips if clip.split == split]
        for number, first in enumerate(range(0, len(members), size)):
            yield f"{split}-{number:06d}.tar", members[first : first + size]


def _tar(clips: Sequence[Clip], store: Store) -> bytes:
    """A WebDataset shard; equal clips give equal bytes."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in clips:
            members = {
                "jpg": store.get_bytes(clip.key_frames[0]),
                "json": _sample(clip),
                "mp4": store.get_bytes(clip.media),
            }
            for suffix, data in members.items():
                entry = tarfile.TarInfo(f"{clip.clip_id}.{suffix}")
                entry.size, entry.mode = len(data), 0o644
                tar.addfile(entry, io.BytesIO(data))
    return sink.getvalue()


def _sample(clip: Clip) -> bytes:
    """What a trainer needs to know of a clip, as JSON."""
    assert clip.annotation is not None
    value = {
        "clip_id": clip.clip_id,
        "source_id": clip.source.source_id,
        "split": clip.split,
        "caption": clip.annotation.caption,
        "short_caption": clip.annotation.short_caption,
        "sound": clip.annotation.sound,
        "facts": clip.facts.model_dump(mode="json"),
        "licence_id": clip.source.licence_id,
        "author": clip.source.author,
        "source_url": clip.source.source_url,
    }
    return canonical_json(value)


def _pairs(clip: Clip, shard: str) -> list[Pair]:
    """The training pairs of a clip: text to video, and text with the first frame to video."""
    assert clip.annotation is not None
    assert clip.split
    return [
        Pair(
            pair_id=f"{mode}-{clip.clip_id}",
            mode=mode,
            clip_id=clip.clip_id,
            split=clip.split,
            caption=clip.annotation.caption,
            first_frame=clip.key_frames[0] if mode == "i2v" else None,
            media=clip.media,
            shard=shard,
        )
        for mode in ("t2v", "i2v")
    ]


if __name__ == "__main__":
    stage_main(run)
