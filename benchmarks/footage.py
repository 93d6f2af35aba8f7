"""The world's footage at any size, as training clips and as a packaged dataset, without the curation.

What is said of a clip is the truth and not what a judge saw.
"""

import io
import math
import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from veo_core.curate.shards import TarShard
from veo_core.data.clips import Sample
from veo_core.data.spec import ClipSpec
from veo_core.media.encode import encode
from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.records.clip import Split
from veo_core.records.dataset import Bucket, Shard
from veo_core.records.manifest import Manifest
from veo_core.storage import Store
from veo_core.world.grammar import caption
from veo_core.world.plan import scene_of, words_generator
from veo_core.world.take import shoot
from veo_core.world.truth import WorldSpec

_SHARD = 128
_SHORTEST = 2.0  # seconds of a scene
_MORE_SECONDS = 0.25  # a contact at the end of what is trained on has sounded by then


def film_clips(clip: ClipSpec, count: int, *, seed: int, two_objects: float, workers: int) -> list[Sample]:
    """Film that many clips of the size and length of `clip`, in `workers` processes."""
    excerpt = max(clip.seconds, _SHORTEST)
    world = WorldSpec(
        clips=count,
        seed=seed,
        two_objects=two_objects,
        width=clip.width,
        height=clip.height,
        fps=clip.fps,
        seconds=excerpt + _MORE_SECONDS,
        excerpt=excerpt,
    )
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(partial(_film, world), range(count), chunksize=4))


def packaged(splits: Mapping[Split, Sequence[Sample]], clip: ClipSpec, store: Store) -> Manifest:
    """Put clips into shards of the store, as the stage `package` does."""
    shards = [
        _shard(split, number, clips[number * _SHARD : (number + 1) * _SHARD], clip, store)
        for split, clips in splits.items()
        for number in range(math.ceil(len(clips) / _SHARD))
    ]
    return Manifest(
        stage="package",
        config_digest=sha256_bytes(clip.to_bytes()),
        rows=sum(shard.clips for shard in shards),
        tables={"shards": store.put_table(shards, Shard)},
        shards=[shard.file for shard in shards],
    )


def _film(world: WorldSpec, index: int) -> Sample:
    take = shoot(scene_of(world, index), world)
    attributes = take.shots[0].attributes
    buffer = io.BytesIO()
    encode(buffer, take.frames, fps=take.fps, audio=take.audio, audio_rate=take.audio_rate)
    media = buffer.getvalue()
    return Sample(
        clip_id=sha256_bytes(media),
        caption=caption(attributes, words_generator(world, index)),
        short_caption=", ".join(
            f"{item.colour} {item.shape} moving {item.direction}" for item in attributes.objects
        ),
        width=world.width,
        height=world.height,
        media=media,
    )


def _shard(split: Split, number: int, clips: Sequence[Sample], clip: ClipSpec, store: Store) -> Shard:
    bucket = Bucket(width=clip.width, height=clip.height, frames=clip.frames).name
    name = f"{split}-{bucket}-{number:06d}.tar"
    with tempfile.TemporaryDirectory() as folder:
        tar = TarShard(Path(folder, name))
        for one in clips:
            note = {
                "clip_id": one.clip_id,
                "caption": one.caption,
                "short_caption": one.short_caption,
                "facts": {"width": one.width, "height": one.height},
            }
            tar.add(one.clip_id, {"json": canonical_json(note), "mp4": one.media})
        tar.close()
        file = store.put_file(tar.path, ".tar")
    return Shard(name=name, split=split, bucket=bucket, clips=len(clips), file=file)
