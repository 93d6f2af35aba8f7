"""Places that fsspec reaches, opened anew in every process and without caches of what they list."""

from collections.abc import Mapping
from typing import Any

import fsspec

from veo_core.errors import UsageError


def is_remote(place: str) -> bool:
    """Whether a place is a URI such as gs://bucket/prefix and no local path."""
    return "://" in place and not place.startswith("file://")


def open_place(place: str) -> tuple[Any, str]:
    """The file system of a URI and the path in it.

    Raises:
        UsageError: its protocol has no driver installed.
    """
    try:
        fs, path = fsspec.core.url_to_fs(place, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{place}: {error}") from None
    return fs, path.rstrip("/")


def revision_of(info: Mapping[str, Any]) -> str:
    """Text that changes when an object's content does: its hash or ETag where there is one, and its size."""
    for name in ("md5Hash", "ETag", "etag", "mtime", "created"):
        if info.get(name):
            return f"{str(info[name]).strip(chr(34))} {info['size']}"
    return str(info["size"])


def read_small(fs: Any, path: str, limit: int) -> bytes:
    """An object of at most `limit` bytes.

    Raises:
        ValueError: it is larger.
    """
    with fs.open(path, "rb", cache_type="none") as stream:
        data: bytes = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit} bytes")
    return data
