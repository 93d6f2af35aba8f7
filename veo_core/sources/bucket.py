"""A prefix of a bucket with footage in it, and sidecars beside the objects."""

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veo_core.errors import ItemError, UsageError
from veo_core.records.base import canonical_json
from veo_core.sources.items import (
    MAX_MANIFEST_BYTES,
    MEDIA_SUFFIXES,
    Item,
    Media,
    OversizedError,
    is_media_name,
    source_id_of,
    suffix_of,
)
from veo_core.sources.provenance import Provenance, parse_sidecar
from veo_core.sources.remote import open_place, read_small, revision_of
from veo_core.storage.access import access_to

_MAX_SIDECAR_BYTES = 1 << 20
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class BucketOrigin:
    """Objects below a gs://, s3:// or other prefix that fsspec reaches, by the suffix of their names.

    What is said of `NAME.mp4` is the object `NAME.json` beside it. Credentials come from the environment.
    """

    prefix: str
    max_bytes: int
    parallel: int
    kind: str = "bucket"
    untrusted: bool = False

    def items(self) -> Sequence[Item]:
        """Objects in the order of their names.

        Raises:
            UsageError: the prefix cannot be listed or holds no media file.
        """
        fs, base = open_place(self.prefix)
        try:
            with access_to(f"footage prefix {self.prefix}"):
                found = fs.find(base, detail=True)
        except (OSError, ValueError) as error:
            raise UsageError(f"footage prefix {self.prefix} cannot be listed: {error}") from None
        items = []
        for path in sorted(found):
            name = posixpath.relpath(path, base)
            if is_media_name(name):
                stem = posixpath.splitext(path)[0]
                besides = [found[stem + suffix] for suffix in (".json", ".c2pa") if stem + suffix in found]
                revisions = [revision_of(info) for info in (found[path], *besides)]
                details = canonical_json({"revision": revisions[0], "manifest": f"{stem}.c2pa" in found})
                items.append(Item(name, ", ".join(revisions), int(found[path]["size"]), details))
        if not items:
            raise UsageError(
                f"footage prefix {self.prefix} holds no video ({', '.join(sorted(MEDIA_SUFFIXES))}); "
                "put objects there or set `folder` to another place"
            )
        return items

    def source_id(self, item: Item) -> str:
        """Of the name and what the store says of the content."""
        return source_id_of(item.name, json.loads(item.details)["revision"])

    def provenance(self, item: Item, scratch: Path) -> Provenance:
        """What the sidecar says; an object without one has unknown rights."""
        fs, base = open_place(self.prefix)
        name = f"{posixpath.splitext(item.name)[0]}.json"
        try:
            return parse_sidecar(
                read_small(fs, f"{base}/{name}", _MAX_SIDECAR_BYTES), posixpath.basename(name)
            )
        except FileNotFoundError:
            return Provenance()
        except ValueError as error:
            raise ItemError("sidecar", f"{posixpath.basename(name)}: {error}") from None

    def fetch(self, item: Item, scratch: Path) -> Media:
        """A copy of the object, brought a piece at a time."""
        if item.size > self.max_bytes:
            raise OversizedError(item.size, self.max_bytes)
        fs, base = open_place(self.prefix)
        target = scratch / f"object{suffix_of(item.name)}"
        size, manifest = 0, None
        try:
            if json.loads(item.details)["manifest"]:
                beside = f"{base}/{posixpath.splitext(item.name)[0]}.c2pa"
                manifest = read_small(fs, beside, MAX_MANIFEST_BYTES)
            with (
                fs.open(
                    f"{base}/{item.name}", "rb", cache_type="readahead", block_size=_CHUNK_BYTES
                ) as stream,
                target.open("wb") as file,
            ):
                while size <= self.max_bytes and (piece := stream.read(_CHUNK_BYTES)):
                    size += file.write(piece)
        except (OSError, ValueError) as error:
            raise ItemError(
                "download", f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'cannot be read'}"
            ) from None
        if size != item.size:
            raise ItemError("download", f"{size} bytes, {item.size} were listed: the object changed")
        return Media(target, suffix_of(item.name), manifest=manifest)
