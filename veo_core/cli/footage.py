"""A place of footage as the configuration of `collect`."""

from pathlib import Path
from typing import Any

from veo_core.records.base import canonical_json, sha256_bytes
from veo_core.sources.bucket import BucketOrigin
from veo_core.sources.folder import FolderOrigin
from veo_core.sources.remote import is_remote


def footage_section(place: str) -> dict[str, Any]:
    """The `collect` section for a place, with a revision that changes when a file or sidecar does.

    Args:
        place: a folder, or a gs:// or s3:// prefix.

    Raises:
        UsageError: the place cannot be read or holds no video.
    """
    if is_remote(place):
        items = BucketOrigin(place, max_bytes=0, parallel=1).items()
    else:
        place = str(Path(place).resolve())
        items = FolderOrigin(Path(place)).items()
    listing = canonical_json([[item.name, item.revision] for item in items])
    return {"world": None, "folder": place, "revision": sha256_bytes(listing)[:16]}
