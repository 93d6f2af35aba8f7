"""A local folder of footage, with sidecars beside the files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veo_core.errors import UsageError
from veo_core.media.decode import demuxer_of
from veo_core.sources.items import MAX_MANIFEST_BYTES, MEDIA_SUFFIXES, Item, Media, suffix_of
from veo_core.sources.provenance import Provenance, parse_sidecar


@dataclass(frozen=True)
class FolderOrigin:
    """Media files below `folder`, by suffix or first bytes. What is said of them is `NAME.json` beside."""

    folder: Path
    kind: str = "folder"
    parallel: int = 1
    untrusted: bool = False

    def items(self) -> Sequence[Item]:
        """Media files in the order of their names.

        Raises:
            UsageError: the folder is missing or holds no media file.
        """
        if not self.folder.is_dir():
            raise UsageError(f"footage folder {self.folder} does not exist or is no folder")
        items = [self._item(path) for path in sorted(self.folder.rglob("*")) if _is_media(path)]
        if not items:
            raise UsageError(
                f"footage folder {self.folder} holds no video ({', '.join(sorted(MEDIA_SUFFIXES))}); "
                "put files there or set `folder` to another place"
            )
        return items

    def _item(self, path: Path) -> Item:
        besides = [path.with_suffix(suffix) for suffix in (".json", ".c2pa")]
        parts = [path, *(beside for beside in besides if beside.is_file())]
        facts = [part.stat() for part in parts]
        revision = " ".join(f"{fact.st_size}-{fact.st_mtime_ns}" for fact in facts)
        return Item(path.relative_to(self.folder).as_posix(), revision, facts[0].st_size)

    def source_id(self, item: Item) -> str:
        """The content decides."""
        return ""

    def provenance(self, item: Item, scratch: Path) -> Provenance:
        """What the sidecar says; a file without one has unknown rights."""
        beside = (self.folder / item.name).with_suffix(".json")
        return parse_sidecar(beside.read_bytes(), beside.name) if beside.is_file() else Provenance()

    def fetch(self, item: Item, scratch: Path) -> Media:
        """The file where it is."""
        path = self.folder / item.name
        beside = path.with_suffix(".c2pa")
        manifest = None
        if beside.is_file():
            with beside.open("rb") as stream:
                manifest = stream.read(MAX_MANIFEST_BYTES)
        return Media(path, suffix_of(item.name), manifest=manifest)


def _is_media(path: Path) -> bool:
    if path.name.startswith(".") or path.is_symlink() or not path.is_file():
        return False
    if path.suffix.lower() in MEDIA_SUFFIXES:
        return True
    with path.open("rb") as stream:
        return demuxer_of(stream.read(12)) is not None
