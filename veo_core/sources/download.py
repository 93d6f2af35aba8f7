"""Downloads that resume, are bounded in bytes, time and redirects, and go only where they may.

The connection is made by httpcore, the layer of httpx below its client: the client would follow
proxies of the environment and write whole URLs, with the tokens in them, to the log.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpcore
import httpx

from veo_core.errors import ItemError
from veo_core.media.decode import demuxer_of
from veo_core.sources.addresses import Pins, Resolver, resolve
from veo_core.sources.connection import PinnedBackend
from veo_core.sources.items import OversizedError
from veo_core.sources.partial import Partial, Validators, open_partial
from veo_core.sources.policy import DownloadPolicy, check_url, host_of
from veo_core.sources.retry import RETRIED_STATUS, TryAgainError, pause, retry_after

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAGIC_BYTES = 12
_MAX_ANSWER_BYTES = 16 << 20
_USER_AGENT = "veo-from-scratch (video dataset collector)"


@dataclass(frozen=True)
class Answer:
    """A response whose body is still to be read.

    Attributes:
        status: HTTP status code.
        headers: by name in lower case.
        body: its bytes as they come, not decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


class Downloader:
    """Fetches files within a policy.

    Args:
        policy: what may be downloaded, from whom, and at what cost.
        resolver: gives the addresses of a host.
        sleep: waits some seconds before another try.
    """

    def __init__(
        self,
        policy: DownloadPolicy,
        *,
        resolver: Resolver = resolve,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._policy = policy
        self._pins = Pins(policy, resolver)
        self._sleep = sleep
        self._ssl = httpx.create_ssl_context(trust_env=True)

    def fetch(self, url: str, target: Path, *, max_bytes: int) -> None:
        """Download a media file to `target`, going on with what an earlier try or run brought.

        Raises:
            OversizedError: it is larger than `max_bytes`.
            ItemError: rule "download": it cannot be had, with the reason; no URL, because URLs hold tokens.
                Rule "undecodable": what came is no media file.
        """
        with open_partial(url) as partial:
            try:
                self._retrying(url, lambda: self._attempt(url, partial, max_bytes))
            except OversizedError:
                partial.discard()
                raise
            if demuxer_of(_head(partial)) is None:
                partial.discard()
                raise ItemError("undecodable", "what came is not an MP4, MOV, Matroska or WebM file")
            partial.finish(target)

    def get(self, url: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of a small resource; no redirect is followed, so `headers` stay with it.

        Raises:
            ItemError: rule "download": it cannot be had.
        """

        def attempt() -> tuple[int, Mapping[str, str], bytes]:
            deadline = time.monotonic() + self._policy.max_seconds
            with self._request(check_url(url, self._policy), headers, deadline) as answer:
                body = bytearray()
                for piece in answer.body:
                    body += piece
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise ItemError("download", f"an answer of more than {_MAX_ANSWER_BYTES} bytes")
                if answer.status in RETRIED_STATUS:
                    raise TryAgainError(f"HTTP {answer.status}", retry_after(answer.headers))
                return answer.status, answer.headers, bytes(body)

        return self._retrying(url, attempt)

    def _retrying(self, url: str, attempt: Callable[[], T]) -> T:
        host = host_of(check_url(url, self._policy))
        last = self._policy.attempts - 1
        for number in range(self._policy.attempts):
            try:
                return attempt()
            except (TryAgainError, httpcore.TimeoutException, httpcore.NetworkError) as error:
                reason, asked = _reason(error), getattr(error, "wait", None)
            except httpcore.ProtocolError as error:
                reason, asked = f"broken HTTP: {error}", None
            wait = pause(number, asked, self._policy.backoff_seconds)
            if number == last or wait > self._policy.max_wait_seconds:
                break
            self._sleep(wait)
        raise ItemError("download", f"{host}: {reason}, after {number + 1} tries")

    def _attempt(self, url: str, partial: Partial, max_bytes: int) -> None:
        """One try: follow redirects, then bring the bytes that are missing."""
        deadline = time.monotonic() + self._policy.max_seconds
        here = check_url(url, self._policy)
        have, validators = partial.resume()
        headers = {"range": f"bytes={have}-", "if-range": validators.if_range} if have else {}
        for _ in range(self._policy.max_redirects + 1):
            with self._request(here, headers, deadline) as answer:
                if answer.status not in _REDIRECTS:
                    self._receive(here, answer, partial, have, validators, max_bytes)
                    return
                place = answer.headers.get("location", "")
            try:
                here = check_url(str(here.join(place)), self._policy)
            except (httpx.InvalidURL, ValueError):
                raise ItemError("download", f"{host_of(here)}: redirect to what is not a URL") from None
        raise ItemError("download", f"{host_of(here)}: more than {self._policy.max_redirects} redirects")

    def _receive(
        self,
        url: httpx.URL,
        answer: Answer,
        partial: Partial,
        have: int,
        validators: Validators,
        max_bytes: int,
    ) -> None:
        host = host_of(url)
        if answer.status in RETRIED_STATUS:
            raise TryAgainError(f"HTTP {answer.status}", retry_after(answer.headers))
        if answer.status == 416 or (answer.status == 206 and _range_start(answer) != have):
            partial.restart(Validators())
            raise TryAgainError(f"HTTP {answer.status} with another range than asked for")
        if answer.status not in (200, 206):
            raise ItemError("download", f"{host}: HTTP {answer.status}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ItemError("download", f"{host}: compressed, which was not asked for")
        now = _validators(answer)
        if answer.status == 206 and now.etag and validators.etag and now.etag != validators.etag:
            partial.restart(Validators())
            raise TryAgainError("the file changed while it was downloaded")
        if answer.status == 200 or not have:
            have = 0
            partial.restart(now)
        announced = answer.headers.get("content-length", "")
        if announced.isdecimal() and have + int(announced) > max_bytes:
            raise OversizedError(have + int(announced), max_bytes)
        for piece in answer.body:
            have += len(piece)
            if have > max_bytes:
                raise OversizedError(have, max_bytes)
            partial.stream.write(piece)
            partial.stream.flush()
        total = _range_total(answer) if answer.status == 206 else None
        if total is not None and have < total:
            raise TryAgainError(f"{have} of {total} bytes came")

    @contextmanager
    def _request(self, url: httpx.URL, headers: Mapping[str, str], deadline: float) -> Iterator[Answer]:
        policy = self._policy
        timeout = {
            "connect": policy.connect_seconds,
            "read": policy.read_seconds,
            "write": policy.read_seconds,
        }
        sent: dict[bytes | str, bytes | str] = {
            "host": url.netloc.decode("ascii"),
            "user-agent": _USER_AGENT,
            "accept-encoding": "identity",
        }
        sent.update(headers)
        pool = httpcore.ConnectionPool(
            ssl_context=self._ssl, network_backend=PinnedBackend(self._pins, deadline)
        )
        with (
            pool,
            pool.stream("GET", _target(url), headers=sent, extensions={"timeout": timeout}) as response,
        ):
            received = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
            }
            yield Answer(response.status, received, response.iter_stream())


def _target(url: httpx.URL) -> httpcore.URL:
    """The URL in its parts, because another parser may find another host in its text."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _reason(error: Exception) -> str:
    kind = "no answer in time" if isinstance(error, httpcore.TimeoutException) else ""
    return ": ".join(part for part in (kind, str(error)) if part) or type(error).__name__


def _range_start(answer: Answer) -> int | None:
    """The first byte that a 206 answer brings."""
    start = answer.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else None


def _range_total(answer: Answer) -> int | None:
    """The size of the whole file, where a 206 answer tells it."""
    total = answer.headers.get("content-range", "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def _validators(answer: Answer) -> Validators:
    """What names the version of the file, where the server says that it can go on from a byte."""
    etag = answer.headers.get("etag", "")
    strong = etag if etag.startswith('"') else ""
    return Validators(etag=strong, modified="" if strong else answer.headers.get("last-modified", ""))


def _head(partial: Partial) -> bytes:
    partial.stream.flush()
    partial.stream.seek(0)
    return partial.stream.read(_MAGIC_BYTES)
