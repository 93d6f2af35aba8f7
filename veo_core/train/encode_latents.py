"""Encode the dataset with the trained autoencoders, once, for the denoisers.

One shard of the dataset becomes one shard of latents, and those that are done survive a kill. No more than
one shard's latents are in memory. Several processes share the shards.
"""

from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from veo_core.data.buckets import bucket_specs
from veo_core.data.clips import dataset_shards
from veo_core.data.latents import (
    LatentClip,
    LatentLayouts,
    LatentShard,
    load_latents,
)
from veo_core.data.mapped import store_tensors
from veo_core.data.spec import ClipSpec
from veo_core.data.statistics import ChannelStatistics
from veo_core.models.codecs import codec_files, load_audio_codec, load_video_codec
from veo_core.models.text import TextConfig, Vocabulary, split_words
from veo_core.progress import track
from veo_core.records.base import Record, canonical_json
from veo_core.records.clip import Split
from veo_core.records.dataset import Shard
from veo_core.records.manifest import Manifest
from veo_core.records.tables import table_from_bytes, table_to_bytes
from veo_core.stage import Context, PartFinished, stage_main
from veo_core.train.latent_encoder import EncodedShard, EncodeText, Job, LatentEncoder
from veo_core.train.runtime import Runtime, RuntimeConfig


class LatentEncoding(Record):
    """Configuration of the stage."""

    clip_spec: ClipSpec = Field(
        default=ClipSpec(), description="clips of the largest bucket; those of others are scaled alike"
    )
    batch: int = Field(default=16, ge=1, description="clips encoded at a time")
    keep_frames: int = Field(
        default=64, description="validation clips whose pictures are kept for later stages"
    )
    upsampler_clips: int = Field(
        default=640,
        ge=1,
        description="clips of a split and bucket whose full-size latents are kept: refinement is local",
    )
    text: TextConfig = Field(
        default=TextConfig(), description="a frozen encoder, whose features of every caption are kept"
    )
    runtime: RuntimeConfig = RuntimeConfig()


def run(
    *, dataset: Manifest, video_vae: Manifest, audio_vae: Manifest, config: LatentEncoding, context: Context
) -> Manifest:
    store = context.store
    runtime = Runtime(config.runtime)
    met = runtime.meeting()
    pictures = runtime.place(load_video_codec(video_vae.files, store, where="video VAE"))
    sounds = runtime.place(load_audio_codec(audio_vae.files, store, config.clip_spec, where="audio VAE"))
    text = _text_encoder(config.text, runtime)
    encoder = LatentEncoder(pictures, sounds, runtime, store, config.batch, text)

    shards = dataset_shards(dataset, store)
    specs = _specs(shards, config.clip_spec.divided(pictures.factors, sounds.factors), context)
    main = next(iter(specs))
    jobs = [
        job
        for bucket, spec in specs.items()
        for split, of_split in shards[bucket].items()
        for job in _jobs(of_split, spec, config, frames=(bucket, split) == (main, "validation"))
    ]
    if context.part is not None:
        jobs = [job for number, job in enumerate(jobs) if context.part.has(number)]
    if runtime.world > 1:
        for job in jobs[runtime.rank :: runtime.world]:
            _finished(job, encoder, context)
        met()
        if not runtime.first:
            raise SystemExit(0)  # the first process finds all shards done, and publishes
    done = (_finished(job, encoder, context) for job in jobs)
    encoded = list(track(done, total=len(jobs), label=context.stage, unit="shards"))
    if context.part is not None:
        raise PartFinished(len(jobs), "shards")
    layouts = LatentLayouts(buckets={name: encoder.layout(spec) for name, spec in specs.items()})
    manifest = _manifest(encoded, layouts, config, context)
    manifest.files.update(codec_files(video_vae.files, audio_vae.files))
    if text is None:
        return manifest
    features, mask = (tensor.cpu() for tensor in text([""]))
    empty = {"text": features.half(), "text_mask": mask}
    files = {
        "text_config": store.put_bytes(config.text.to_bytes(), ".json"),
        "empty_text": store_tensors(empty, ".safetensors", store),
    }
    return manifest.model_copy(update={"files": {**manifest.files, **files}})


def _text_encoder(config: TextConfig, runtime: Runtime) -> EncodeText | None:
    """The frozen encoder of captions, which are cut where they are too long; None for the trained one."""
    if config.kind == "own":
        return None
    from veo_core.models.frozen_text import FrozenTextEncoder  # transformers takes seconds to import

    encoder = runtime.place(FrozenTextEncoder.open(config))
    return lambda captions: encoder(captions, cut=True)


def _specs(buckets: Iterable[str], main: ClipSpec, context: Context) -> dict[str, ClipSpec]:
    """What the clips of each bucket are brought to; buckets that the codecs cannot take are told."""
    specs = {}
    for bucket, spec in bucket_specs(buckets, main).items():
        if spec is None:
            print(f"{context.stage}: bucket {bucket} is left out: the codecs cannot take its shape")
        else:
            specs[bucket] = spec
    return specs


def _jobs(shards: Sequence[Shard], spec: ClipSpec, config: LatentEncoding, *, frames: bool) -> Iterator[Job]:
    """The shards of a split and bucket; the first clips have full-size latents, and `frames` if asked for."""
    before = 0
    for shard in shards:
        full = min(shard.clips, max(0, config.upsampler_clips - before))
        kept = min(shard.clips, max(0, config.keep_frames - before)) if frames else 0
        yield Job(shard, spec, full, kept)
        before += shard.clips


def _finished(job: Job, encoder: LatentEncoder, context: Context) -> EncodedShard:
    """A shard that an earlier run has encoded, if its files are whole; else it is encoded now."""
    mark = f"{context.stage}/{context.key}/{job.shard.file.sha256}"
    data = context.store.get_mark(mark)
    if data is not None:
        (row,) = table_from_bytes(data, EncodedShard)
        if all(context.store.has(part.file) for part in row.parts):
            return row
    row = encoder.encode(job)
    context.store.set_mark(mark, table_to_bytes([row], EncodedShard))
    return row


def _manifest(
    encoded: Sequence[EncodedShard], layouts: LatentLayouts, config: LatentEncoding, context: Context
) -> Manifest:
    store = context.store
    parts = [part for shard in encoded for part in shard.parts]
    manifest = Manifest(
        stage=context.stage,
        config_digest=config.digest,
        rows=sum(part.clips for part in parts if part.part == "base"),
        tables={"latents": store.put_table(parts, LatentShard)},
        files={"layout": store.put_bytes(layouts.to_bytes(), ".json")},
        shards=[part.file for part in parts],
    )
    splits = load_latents(manifest, store)
    words: set[str] = set()
    with store.write_table(LatentClip) as captions:
        for split, buckets in splits.items():
            for clip in (clip for bucket in buckets for clip in bucket.clips(split)):
                captions.add(clip)
                if split == "train":
                    words.update(split_words(clip.caption), split_words(clip.short_caption))
    vocabulary = Vocabulary(words=tuple(sorted(words)))
    statistics = _statistics(encoded, "validation", next(iter(layouts.buckets)))
    files = {
        "vocabulary": store.put_bytes(vocabulary.to_bytes(), ".json"),
        "statistics": store.put_bytes(
            canonical_json({name: found.model_dump() for name, found in statistics.items()}), ".json"
        ),
    }
    metrics = {f"{split}_clips": float(sum(map(len, buckets))) for split, buckets in splits.items()}
    metrics |= {f"{name}_std": found.overall_std for name, found in statistics.items()}
    metrics |= {"words": float(len(words)), "buckets": float(len(layouts.buckets))}
    return manifest.model_copy(
        update={
            "tables": {**manifest.tables, "captions": captions.ref},
            "files": {**manifest.files, **files},
            "metrics": metrics,
        }
    )


def _statistics(encoded: Sequence[EncodedShard], split: Split, bucket: str) -> dict[str, ChannelStatistics]:
    """Of the latents by name, over one split of a bucket."""
    chosen = [shard for shard in encoded if (shard.parts[0].split, shard.parts[0].bucket) == (split, bucket)]
    names = sorted({name for shard in chosen for name in shard.sums})
    return {
        name: ChannelStatistics.of(shard.sums[name] for shard in chosen if name in shard.sums)
        for name in names
    }


if __name__ == "__main__":
    stage_main(run)
