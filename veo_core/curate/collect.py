"""Collect: bring footage into the store with its rights, from a folder or from the procedural world."""

import json
from pathlib import Path

from pydantic import Field, ValidationError

from veo_core.curate.decisions import Ledger, publish
from veo_core.errors import ItemError, UsageError
from veo_core.media.decode import demuxer_of
from veo_core.progress import track
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.clip import Permission, Source
from veo_core.records.manifest import Manifest
from veo_core.records.tables import sorted_by
from veo_core.stage import Context, stage_main

MEDIA_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}


class CollectConfig(Record):
    """Where footage comes from, and what may pass."""

    folder: str = Field(default="", description="footage folder, searched recursively")
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


def run(*, config: CollectConfig, context: Context) -> Manifest:
    """One source a file; those without permission to train on them, or too large, are dropped."""
    if not config.folder:
        raise UsageError("collect: set `folder` or `world` in its configuration")
    return _collect(Path(config.folder), "folder", config, context)


def _collect(folder: Path, origin: str, config: CollectConfig, context: Context) -> Manifest:
    files = find_media(folder)
    ledger = Ledger(context.stage)
    kept = []
    for path in track(files, total=len(files), label=context.stage, unit="files"):
        name = path.relative_to(folder).as_posix()
        size = path.stat().st_size
        if size > config.max_bytes:
            source_id = source_id_of(name, f"{size} bytes")
            ledger.add(
                source_id,
                source_id,
                "dropped",
                "over_sized",
                value=size,
                threshold=config.max_bytes,
                evidence=name,
            )
            continue
        file = context.store.put_file(path, path.suffix.lower())
        source_id = source_id_of(name, file.sha256)
        try:
            sidecar = read_sidecar(path)
        except ItemError as error:
            ledger.add(source_id, source_id, "failed", error.rule, evidence=f"{name}: {error}")
            continue
        source = Source(source_id=source_id, name=name, file=file, origin=origin, **sidecar.model_dump())
        if source.ml_training not in config.permissions:
            ledger.decide(
                source,
                "dropped",
                "rights",
                value=source.ml_training,
                threshold=", ".join(config.permissions),
                evidence=f"{name}: {source.evidence or 'no evidence'}",
            )
            continue
        ledger.decide(source, "kept", evidence=name)
        kept.append(source)
    ledger.check_failed_share(config.max_failed_share, of=len(files))
    rows = sorted_by(kept, "source_id")
    return publish(
        ledger,
        store=context.store,
        config=config,
        received=len(files),
        tables={"sources": (rows, Source)},
        rows=len(rows),
    )


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
