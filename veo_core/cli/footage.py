"""A place of footage as the configuration of `collect`."""

from pathlib import Path
from typing import Any

from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.sources.bucket import BucketOrigin
from veo_core.sources.folder import FolderOrigin
from veo_core.sources.remote import is_remote
from veo_core.sources.url_list import read_list


def footage_section(place: str) -> dict[str, Any]:
    """The `collect` section for a place, with a revision that changes when what it lists does.

    Args:
        place: a folder, a gs:// or s3:// prefix, or a list of URLs whose name ends in .csv or .jsonl.

    Raises:
        UsageError: the place cannot be read or holds no video.
    """
    source = "folder"
    if place.endswith((".csv", ".jsonl")):
        source, items = "url_list", read_list(place)
    elif is_remote(place):
        items = BucketOrigin(place, max_bytes=0, parallel=1).items()
    else:
        items = FolderOrigin(Path(place)).items()
    if not is_remote(place):
        place = str(Path(place).resolve())
    listing = canonical_json([[item.name, item.revision] for item in items])
    return {"world": None, source: place, "revision": sha256_bytes(listing)[:16]}
