"""Collect: bring footage into the store with its rights, from a folder or from the procedural world."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import Field, ValidationError

from veo_core.curate.decisions import Ledger, publish
from veo_core.errors import ItemError, UsageError
from veo_core.media.decode import demuxer_of
from veo_core.progress import track
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.clip import Permission, Source
from veo_core.records.ledger import Verdict
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.stage import Context, stage_main
from veo_core.storage import Store
from veo_core.world.studio import film_clip
from veo_core.world.truth import WorldSpec

MEDIA_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}


class CollectConfig(Record):
    """Where footage comes from, and what may pass."""

    folder: str = Field(default="", description="footage folder, searched recursively")
    revision: str = Field(
        default="", description="any text that changes when the folder's content does, so that caches see it"
    )
    world: WorldSpec | None = Field(default=None, description="or a world to film (veo_core.world.truth)")
    max_bytes: int = Field(default=20_000_000, gt=0, description="larger files are dropped")
    permissions: list[Permission] = Field(
        default=["allowed"], description="values of ml_training that pass the rights gate"
    )
    max_failed_share: float = Field(default=0.2, ge=0, le=1, description="largest share that may fail")


class Sidecar(Record):
    """What `NAME.json` beside `NAME.mp4` says; every field is optional."""

    caption: str = ""
    source_url: str = ""
    author: str = ""
    licence_id: str = ""
    licence_url: str = ""
    retrieved_at: str = ""
    ml_training: Permission = "unknown"
    evidence: str = ""


class Collected(Record):
    """One file: the source it became, or why it became none."""

    item: str
    verdict: Verdict
    rule: str = ""
    value: str = ""
    threshold: str = ""
    evidence: str
    source: Source | None = None


def run(*, config: CollectConfig, context: Context) -> Manifest:
    """One source a file; those without permission to train on them, or too large, are dropped."""
    if bool(config.folder) == (config.world is not None):
        raise UsageError("collect: set either `folder` or `world` in its configuration")
    if config.world is not None:
        items = list(
            context.map_shards(
                range(config.world.clips),
                partial(_film_shard, config=config, store=context.store),
                identity=str,
                result=Collected,
                shard_size=16,
            )
        )
    else:
        folder = Path(config.folder)
        files = find_media(folder)
        tracked = track(files, total=len(files), label=context.stage, unit="files")
        items = [_take_in(path, folder, "folder", config, context.store) for path in tracked]
    ledger = Ledger(context.stage)
    for item in items:
        ledger.add(
            item.item,
            item.item,
            item.verdict,
            item.rule,
            value=item.value,
            threshold=item.threshold,
            evidence=item.evidence,
        )
    ledger.check_failed_share(config.max_failed_share, of=len(items))
    kept = sorted_by([item.source for item in items if item.source is not None], "source_id")
    return publish(
        ledger,
        store=context.store,
        config=config,
        received=len(items),
        tables={"sources": (kept, Source)},
        rows=len(kept),
    )


def _film_shard(indices: Sequence[int], *, config: CollectConfig, store: Store) -> list[Collected]:
    """Film clips of the world and collect them like any footage."""
    assert config.world is not None
    with tempfile.TemporaryDirectory(prefix="veo-film-") as name:
        folder = Path(name)
        filmed = [film_clip(config.world, index, folder) for index in indices]
        return [_take_in(clip.path, folder, "world", config, store) for clip in filmed]


def _take_in(path: Path, folder: Path, origin: str, config: CollectConfig, store: Store) -> Collected:
    """Put one file into the store unless its size, its sidecar or its rights forbid it."""
    name = path.relative_to(folder).as_posix()
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    item, size = source_id_of(name, digest), path.stat().st_size
    if size > config.max_bytes:
        return Collected(
            item=item,
            verdict="dropped",
            rule="over_sized",
            value=str(size),
            threshold=str(config.max_bytes),
            evidence=name,
        )
    try:
        sidecar = read_sidecar(path)
    except ItemError as error:
        return Collected(item=item, verdict="failed", rule=error.rule, evidence=f"{name}: {error}")
    if sidecar.ml_training not in config.permissions:
        return Collected(
            item=item,
            verdict="dropped",
            rule="rights",
            value=sidecar.ml_training,
            threshold=", ".join(config.permissions),
            evidence=f"{name}: {sidecar.evidence or 'no evidence'}",
        )
    source = Source(
        source_id=item,
        name=name,
        file=store.put_file(path, path.suffix.lower()),
        origin=origin,
        **sidecar.model_dump(),
    )
    return Collected(item=item, verdict="kept", evidence=name, source=source)


def source_id_of(name: str, content: str) -> str:
    """The id of a file: of its name with its content, because two names may hold the same bytes."""
    return sha256_bytes(f"{name}\n{content}".encode())


def find_media(folder: Path) -> list[Path]:
    """Media files below `folder`, by suffix or first bytes, in the order of their names.

    Raises:
        UsageError: the folder is missing or holds no media file.
    """
    if not folder.is_dir():
        raise UsageError(f"footage folder {folder} does not exist or is no folder")
    files = [path for path in sorted(folder.rglob("*")) if _is_media(path)]
    if not files:
        raise UsageError(
            f"footage folder {folder} holds no video ({', '.join(sorted(MEDIA_SUFFIXES))}); "
            "put files there or set `folder` to another place"
        )
    return files


def _is_media(path: Path) -> bool:
    if path.name.startswith(".") or path.is_symlink() or not path.is_file():
        return False
    if path.suffix.lower() in MEDIA_SUFFIXES:
        return True
    with path.open("rb") as stream:
        return demuxer_of(stream.read(12)) is not None


def read_sidecar(path: Path) -> Sidecar:
    """Rights and caption that lie beside a media file; a file without them has unknown rights.

    Raises:
        ItemError: rule "sidecar": the file beside it cannot be read.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return Sidecar()
    try:
        return Sidecar.model_validate(json.loads(beside.read_bytes()))
    except (ValueError, ValidationError) as error:
        raise ItemError("sidecar", f"{beside.name}: {' '.join(str(error).split())[:200]}") from None


if __name__ == "__main__":
    stage_main(run)
