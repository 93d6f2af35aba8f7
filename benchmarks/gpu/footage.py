"""The world's footage at any size as a packaged dataset, without the curation: its captions are the truth."""

import io
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from veo_core.curate.shards import TarShard
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


class _Filmed(NamedTuple):
    clip_id: str
    note: bytes
    media: bytes


def packaged(
    clip: ClipSpec, store: Store, *, train: int, validation: int, seed: int, two_objects: float, workers: int
) -> Manifest:
    """Film that many clips for `clip`, and put them into shards of the store."""
    count = train + validation
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
    bucket = Bucket(width=clip.width, height=clip.height, frames=clip.frames).name
    splits: list[tuple[Split, range]] = [("train", range(train)), ("validation", range(train, count))]
    shards = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool, tempfile.TemporaryDirectory() as folder:
        for split, indices in splits:
            filmed = list(pool.map(partial(_film, world), indices, chunksize=4))
            for start in range(0, len(filmed), _SHARD):
                name = f"{split}-{bucket}-{start // _SHARD:06d}.tar"
                shards.append(
                    _shard(Path(folder, name), split, bucket, filmed[start : start + _SHARD], store)
                )
    return Manifest(
        stage="package",
        config_digest=world.digest,
        rows=count,
        tables={"shards": store.put_table(shards, Shard)},
        shards=[shard.file for shard in shards],
    )


def _film(world: WorldSpec, index: int) -> _Filmed:
    take = shoot(scene_of(world, index), world)
    attributes = take.shots[0].attributes
    buffer = io.BytesIO()
    encode(buffer, take.frames, fps=take.fps, audio=take.audio, audio_rate=take.audio_rate)
    media = buffer.getvalue()
    objects = [f"{item.colour} {item.shape} moving {item.direction}" for item in attributes.objects]
    note = {
        "clip_id": sha256_bytes(media),
        "caption": caption(attributes, words_generator(world, index)),
        "short_caption": ", ".join(objects),
        "facts": {"width": world.width, "height": world.height},
    }
    return _Filmed(sha256_bytes(media), canonical_json(note), media)


def _shard(path: Path, split: Split, bucket: str, filmed: list[_Filmed], store: Store) -> Shard:
    tar = TarShard(path)
    for one in filmed:
        tar.add(one.clip_id, {"json": one.note, "mp4": one.media})
    tar.close()
    return Shard(
        name=path.name, split=split, bucket=bucket, clips=len(filmed), file=store.put_file(path, ".tar")
    )
