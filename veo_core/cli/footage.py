"""A footage folder as the configuration of `collect`."""

from pathlib import Path
from typing import Any

from veo_core.curate.collect import find_media
from veo_core.records.base import canonical_json, sha256_bytes


def footage_section(folder: Path) -> dict[str, Any]:
    """The `collect` section for a folder, with a revision that changes when a file or sidecar does.

    Raises:
        UsageError: the folder is missing or holds no video.
    """
    folder = folder.resolve()
    entries = []
    for media in find_media(folder):
        for path in (media, media.with_suffix(".json")):
            if path.exists():
                facts = path.stat()
                entries.append([str(path.relative_to(folder)), facts.st_size, facts.st_mtime_ns])
    return {"world": None, "folder": str(folder), "revision": sha256_bytes(canonical_json(entries))[:16]}
