"""Videos of Pexels, by search through its API (https://www.pexels.com/api/documentation/).

Its terms forbid to build datasets or to train models through the API without written permission (help
article 900005880463, point 3). So everything found counts as denied unless the operator names one.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field, ValidationError

from veo_core.errors import ItemError, UsageError
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.clip import Permission
from veo_core.sources.download import Downloader
from veo_core.sources.items import Item
from veo_core.sources.listed import Video
from veo_core.sources.pacing import Pacer
from veo_core.sources.policy import DownloadPolicy
from veo_core.sources.provenance import Provenance
from veo_core.sources.renditions import Rendition
from veo_core.storage import Store

HOSTS = ["api.pexels.com", "videos.pexels.com", "player.vimeo.com"]
KEY_VARIABLE = "PEXELS_API_KEY"
_HOUR = 3600.0
_DENIED = "Pexels API terms, point 3: no datasets and no training without written permission"


class PexelsSearch(Record):
    """What to search for. The key comes from the environment, `PEXELS_API_KEY`."""

    queries: list[str] = Field(min_length=1, description="searches; a video that several find is one item")
    orientation: Literal["landscape", "portrait", "square", ""] = ""
    size: Literal["large", "medium", "small", ""] = Field(
        default="", description="smallest resolution: large is 4K, medium Full HD, small HD"
    )
    per_page: int = Field(default=80, ge=1, le=80, description="videos a request")
    max_pages: int = Field(default=1, ge=1, description="pages of each search")
    requests_per_hour: int = Field(default=200, ge=1, description="the API's limit for this key")
    written_permission: str = Field(
        default="", description="the document in which Pexels permits training, which opens the rights gate"
    )
    base_url: str = Field(default="https://api.pexels.com/videos", description="where the API is")


class _User(BaseModel):
    name: str = ""
    url: str = ""


class _File(BaseModel):
    link: str
    file_type: str | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None


class _Video(BaseModel):
    id: int
    url: str
    user: _User
    video_files: list[_File]


class _Page(BaseModel):
    videos: list[_Video]
    next_page: str | None = None


class PexelsClient:
    """The API's search, paced, with every page kept in the store so that it is asked for once.

    Args:
        search: what to search for.
        policy: where requests may go.
        store: keeps the answers.
        revision: answers of another revision are asked for anew.
        clock: seconds since the epoch.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        search: PexelsSearch,
        policy: DownloadPolicy,
        store: Store,
        revision: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._search = search
        self._policy = policy
        self._store = store
        self._revision = revision
        self._clock = clock
        self._sleep = sleep
        self._downloader = Downloader(policy, sleep=sleep)
        self._pacer = Pacer(search.requests_per_hour, _HOUR, sleep=sleep)
        self._not_before = 0.0

    def videos(self) -> Sequence[Item]:
        """What the searches find, each video once.

        Raises:
            UsageError: the API refuses, cannot be reached, or answers what it does not document.
        """
        found: dict[int, Item] = {}
        for query in self._search.queries:
            for number in range(1, self._search.max_pages + 1):
                page = self._page(query, number)
                for video in page.videos:
                    found.setdefault(video.id, self._item(video))
                if page.next_page is None:
                    break
        if not found:
            raise UsageError(f"pexels: nothing found for {', '.join(self._search.queries)}")
        return list(found.values())

    def _page(self, query: str, number: int) -> _Page:
        asked = {"query": query, "page": number, "per_page": self._search.per_page}
        for name in ("orientation", "size"):
            if getattr(self._search, name):
                asked[name] = getattr(self._search, name)
        identity = canonical_json([self._search.base_url, asked, self._revision])
        mark = f"pexels/{sha256_bytes(identity)}"
        body = self._store.get_mark(mark)
        if body is not None:
            return _parse(body)
        body = self._ask(f"{self._search.base_url}/search?{urlencode(asked)}")
        page = _parse(body)
        self._store.set_mark(mark, body)
        return page

    def _ask(self, url: str) -> bytes:
        key = os.environ.get(KEY_VARIABLE, "")
        if not key:
            raise UsageError(f"pexels: set the environment variable {KEY_VARIABLE} to your API key")
        self._wait()
        try:
            status, headers, body = self._downloader.get(url, {"authorization": key})
        except ItemError as error:
            raise UsageError(f"pexels: {error}; run again later, pages so far are kept") from None
        if status in (401, 403):
            raise UsageError(f"pexels: HTTP {status}: the key in {KEY_VARIABLE} is refused")
        if status != 200:
            raise UsageError(f"pexels: HTTP {status}")
        self._heed(headers)
        return body

    def _wait(self) -> None:
        self._pacer.wait()
        left = self._not_before - self._clock()
        if left > self._policy.max_wait_seconds:
            raise UsageError(
                f"pexels: the quota of this key is used up for {left / _HOUR:.1f} h; run again then, "
                "pages so far are kept"
            )
        if left > 0:
            self._sleep(left)

    def _heed(self, headers: Mapping[str, str]) -> None:
        """Remember when the quota opens again, where it is used up."""
        reset = headers.get("x-ratelimit-reset", "")
        if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
            self._not_before = float(reset)

    def _item(self, video: _Video) -> Item:
        renditions = [
            Rendition(url=file.link, width=file.width or 0, height=file.height or 0, bytes=file.size or 0)
            for file in video.video_files
            if file.file_type == "video/mp4"
        ]
        name = f"pexels-{video.id}.mp4"
        permission: Permission = "allowed" if self._search.written_permission else "denied"
        provenance = Provenance(
            source_url=video.url,
            author=video.user.name,
            author_url=video.user.url,
            licence_id="Pexels",
            licence_url="https://www.pexels.com/license/",
            ml_training=permission,
            evidence=self._search.written_permission or _DENIED,
        )
        return Video(key=str(video.id), name=name, provenance=provenance, renditions=renditions).item()


def _parse(body: bytes) -> _Page:
    try:
        value: Any = json.loads(body)
        return _Page.model_validate(value)
    except (ValueError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"pexels: the answer is not what the API documents: {reason}") from None
