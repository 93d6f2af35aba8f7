"""The servers that a judge may be asked at: who they are, and which of them takes the next request."""

import ipaddress
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from veo_core.errors import UsageError
from veo_core.judges.backend import Backend, TryError
from veo_core.judges.config import JudgeConfig

_ILL_AFTER = 3  # failures in a row


@dataclass(frozen=True)
class Address:
    """A server's base URL, and the key for it."""

    url: str
    key: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def name(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class _Provider:
    url_variable: str
    key_variables: tuple[str, ...]
    default_url: str
    example: str


_PROVIDERS = {
    "openai": _Provider(
        "OPENAI_BASE_URL",
        ("OPENAI_API_KEY",),
        "https://api.openai.com/v1",
        "http://127.0.0.1:8000/v1 of `veo world serve`, vLLM or Ollama",
    ),
    "gemini": _Provider(
        "GOOGLE_GEMINI_BASE_URL",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        "https://generativelanguage.googleapis.com",
        "http://127.0.0.1:8000",
    ),
}


def addresses(config: JudgeConfig) -> list[Address]:
    """The servers that the configuration names, else the environment. Keys come from there alone.

    Raises:
        UsageError: no server is named; a URL is none; a host is not allowed; or one that is not on this
            machine has no key.
    """
    provider = _PROVIDERS[config.provider]
    key = next((os.environ[name] for name in provider.key_variables if os.environ.get(name)), "")
    keys = " or ".join(provider.key_variables)
    named = config.endpoints or os.environ.get(provider.url_variable, "").split(",")
    urls = [url.strip() for url in named if url.strip()] or ([provider.default_url] if key else [])
    if not urls:
        raise UsageError(
            f"no judge server: set {provider.url_variable} (such as {provider.example}) or judge.endpoints, "
            f"or {keys} for {urlsplit(provider.default_url).hostname}"
        )
    found = [Address(url, key or "none-needed-on-loopback") for url in dict.fromkeys(urls)]
    for address in found:
        _check(address, config, keyed=bool(key), keys=keys)
    return found


def _check(address: Address, config: JudgeConfig, *, keyed: bool, keys: str) -> None:
    try:
        parts = urlsplit(address.url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"judge server {address.url!r} is no URL such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise UsageError(
            f"the URL of judge server {parts.hostname} holds a name or a password: use {keys} instead"
        )
    if config.allowed_hosts and address.host not in config.allowed_hosts:
        raise UsageError(
            f"the judge server {address.url} is on host {address.host!r}, which judge.allowed_hosts does "
            f"not name; it allows {', '.join(config.allowed_hosts)}"
        )
    if not keyed and not _is_loopback(address.host):
        raise UsageError(f"the judge server {address.url} is not on this machine: set {keys}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(eq=False)
class Endpoint:
    """One server, with what is known of its health."""

    name: str
    backend: Backend
    in_flight: int = 0
    failures: int = 0
    rests_until: float = 0.0

    @property
    def ill(self) -> bool:
        return self.failures >= _ILL_AFTER

    @contextmanager
    def use(self) -> Iterator[None]:
        """A try at this server."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@dataclass
class Pool:
    """Spreads requests by least in flight. A server that fails several times in a row rests a while, then
    is tried with one request at a time until one succeeds. Where all are ill, none rests.
    """

    endpoints: Sequence[Endpoint]
    cool_down: float
    served: dict[str, int] = field(default_factory=dict)

    def pick(self, barred: Mapping[Endpoint, float], now: float) -> tuple[Endpoint | None, float]:
        """The server to ask now, or None with the seconds after which to look again.

        Args:
            barred: until when a request may not go to a server, on the clock of `now`, in seconds.
            now: the time.
        """
        some_well = any(not endpoint.ill for endpoint in self.endpoints)
        times = {}
        for endpoint in self.endpoints:
            time = barred.get(endpoint, 0.0)
            if endpoint.ill and some_well:
                probing = endpoint.in_flight > 0
                time = max(time, endpoint.rests_until, now + self.cool_down if probing else 0.0)
            times[endpoint] = time
        ready = [endpoint for endpoint, time in times.items() if time <= now]
        if ready:
            return min(ready, key=lambda endpoint: endpoint.in_flight), 0.0
        return None, max(0.0, min(times.values(), default=math.inf) - now)

    def succeeded(self, endpoint: Endpoint) -> None:
        endpoint.failures = 0
        self.served[endpoint.name] = self.served.get(endpoint.name, 0) + 1

    def failed(self, endpoint: Endpoint, error: TryError, now: float) -> None:
        """Note a try without an answer; being busy is no illness."""
        if error.ill:
            endpoint.failures += 1
            endpoint.rests_until = now + self.cool_down
