"""Videos that are downloaded by URL, in one of several renditions."""

import datetime
import functools
import json
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import Field

from veo_core.errors import ItemError, UsageError
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.files import FileRef
from veo_core.sources.download import Downloader
from veo_core.sources.items import MEDIA_SUFFIXES, Item, Media, source_id_of, suffix_of
from veo_core.sources.policy import DownloadPolicy
from veo_core.sources.provenance import Provenance
from veo_core.sources.renditions import Rendition, choose
from veo_core.storage import Store


class Video(Record):
    """A video at one or more URLs, with what is said of it."""

    key: str = Field(description="what tells it from all others, whichever rendition is taken")
    name: str = Field(description="what the ledger calls it; holds no query, because queries hold tokens")
    provenance: Provenance
    renditions: list[Rendition]

    def item(self) -> Item:
        return Item(self.name, self.digest[:16], details=self.to_bytes())


class Download(Record):
    """A download that was stored: a later run uses it again, with its time."""

    file: FileRef
    retrieved_at: str


@dataclass(frozen=True)
class UrlOrigin:
    """Gives items whose `details` are a `Video`, downloaded within a policy.

    Attributes:
        kind: what `Source.origin` says.
        policy: what may be downloaded, from whom, and at what cost.
        store: where downloads are kept, so that each is made once.
        revision: downloads of another revision are made anew.
        min_short_side: pixels that training needs.
        max_bytes: largest file.
    """

    kind: str
    policy: DownloadPolicy
    store: Store
    revision: str
    min_short_side: int
    max_bytes: int
    untrusted: bool = True

    @property
    def parallel(self) -> int:
        return self.policy.parallel

    def source_id(self, item: Item) -> str:
        """Of the video's key, so that the id holds whatever rendition comes, and before anything does."""
        return source_id_of(_video(item).key, self.kind)

    def provenance(self, item: Item, scratch: Path) -> Provenance:
        """What the list says."""
        return _video(item).provenance

    def fetch(self, item: Item, scratch: Path) -> Media:
        """The chosen rendition, downloaded unless the store holds it from an earlier run."""
        renditions = _video(item).renditions
        if not renditions:
            raise ItemError("download", "there is no MP4 file of it")
        url = choose(renditions, self.min_short_side).url
        suffix = _suffix(url)
        mark = "downloads/" + sha256_bytes(f"{url}\n{self.revision}".encode())
        known = self.store.get_mark(mark)
        if known is not None:
            download = Download.model_validate(json.loads(known))
            try:
                path = self.store.local_path(download.file, scratch)
                return Media(path, suffix, download.retrieved_at, mark)
            except UsageError:
                pass
        target = scratch / f"download{suffix}"
        self._downloader.fetch(url, target, max_bytes=self.max_bytes)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return Media(target, suffix, now, mark)

    @functools.cached_property
    def _downloader(self) -> Downloader:
        return Downloader(self.policy)


def check_hosts(policy: DownloadPolicy) -> None:
    """Refuse to start where every download would be refused.

    Raises:
        UsageError: no host is allowed.
    """
    if not policy.allowed_hosts:
        raise UsageError("collect: name the hosts to download from in `download.allowed_hosts`")


def shown(url: str) -> str:
    """A URL without user, query and fragment, where tokens are; "" for what is no URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return ""
    return str(parsed.copy_with(userinfo=b"", query=None, fragment=None)) if parsed.host else ""


def _suffix(url: str) -> str:
    suffix = suffix_of(httpx.URL(url).path) if shown(url) else ""
    return suffix if suffix in MEDIA_SUFFIXES else ".mp4"


def _video(item: Item) -> Video:
    return Video.model_validate(json.loads(item.details))
