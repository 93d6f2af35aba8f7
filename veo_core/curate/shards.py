"""Shards: WebDataset tar files, written as their clips come."""

import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from veo_core.records.base import canonical_json
from veo_core.records.clip import Clip, Split
from veo_core.records.dataset import Shard
from veo_core.storage import Store

SampleFiles = Mapping[str, bytes]


class TarShard:
    """A tar file on the disk; equal samples in equal order give equal bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clips = 0
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 (closed by `close`)

    def add(self, clip_id: str, files: SampleFiles) -> None:
        """Add a sample: its files by suffix, such as "mp4"."""
        for suffix, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{clip_id}.{suffix}")
            entry.size, entry.mode = len(data), 0o644
            self._tar.addfile(entry, io.BytesIO(data))
        self.clips += 1

    def close(self) -> None:
        self._tar.close()


class ShardWriter:
    """Puts clips into shards of their split and bucket; one clip at a time is in memory.

    Args:
        folder: where unfinished shards lie.
        store: where finished ones go.
        clips_per_shard: clips of one shard.
    """

    def __init__(self, folder: Path, store: Store, clips_per_shard: int) -> None:
        self._folder = folder
        self._store = store
        self._size = clips_per_shard
        self._open: dict[tuple[Split, str], TarShard] = {}
        self._started: dict[tuple[Split, str], int] = {}
        self._shards: list[Shard] = []

    def add(self, split: Split, bucket: str, clip: Clip) -> Clip:
        """Write a clip; it comes back with its place."""
        key = (split, bucket)
        shard = self._open.get(key)
        if shard is None:
            number = self._started.get(key, 0)
            self._started[key] = number + 1
            shard = self._open[key] = TarShard(self._folder / f"{split}-{bucket}-{number:06d}.tar")
        placed = clip.model_copy(update={"split": split, "bucket": bucket, "shard": shard.path.name})
        shard.add(clip.clip_id, sample_files(placed, self._store))
        if shard.clips == self._size:
            self._finish(key)
        return placed

    def finish(self) -> list[Shard]:
        """Every shard, by name."""
        for key in list(self._open):
            self._finish(key)
        return sorted(self._shards, key=lambda shard: shard.name)

    def _finish(self, key: tuple[Split, str]) -> None:
        tar = self._open.pop(key)
        tar.close()
        split, bucket = key
        file = self._store.put_file(tar.path, ".tar")
        self._shards.append(Shard(name=tar.path.name, split=split, bucket=bucket, clips=tar.clips, file=file))
        tar.path.unlink()


@contextmanager
def shard_writer(store: Store, clips_per_shard: int) -> Iterator[ShardWriter]:
    """A writer whose unfinished shards lie in a folder that goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="veo-shards-") as folder:
        yield ShardWriter(Path(folder), store, clips_per_shard)


def sample_files(clip: Clip, store: Store) -> SampleFiles:
    """The files of a clip's sample: its first key frame, what a trainer needs to know, MP4 with sound."""
    return {
        "jpg": store.get_bytes(clip.key_frames[0]),
        "json": canonical_json(sample_facts(clip)),
        "mp4": store.get_bytes(clip.media),
    }


def sample_facts(clip: Clip) -> dict[str, object]:
    """What a trainer needs to know of a packed clip, and whom to name for it."""
    note, source = clip.annotation, clip.source
    assert note is not None
    return {
        "clip_id": clip.clip_id,
        "source_id": source.source_id,
        "split": clip.split,
        "bucket": clip.bucket,
        "caption": note.caption,
        "short_caption": note.short_caption,
        "sound": note.sound,
        "facts": clip.facts.model_dump(mode="json"),
        "author": source.author,
        "licence_id": source.licence_id,
        "licence_url": source.licence_url,
        "source_url": source.source_url,
    }
