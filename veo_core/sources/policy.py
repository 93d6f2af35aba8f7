"""What may be downloaded, from whom, and at what cost."""

import httpx
from pydantic import Field

from veo_core.errors import ItemError
from veo_core.records.base import Record

_PORTS = {"https": 443, "http": 80}


class DownloadPolicy(Record):
    """Bounds of every download; nothing may be downloaded until hosts are named."""

    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="hosts to download from: 'cdn.example.com', '*.example.com', 'host:8443'",
    )
    allow_http: bool = Field(default=False, description="also without TLS")
    allow_private_hosts: list[str] = Field(
        default_factory=list,
        description="those of allowed_hosts that may lie in private networks or on this machine",
    )
    max_redirects: int = Field(default=5, ge=0, description="redirects that one download may follow")
    connect_seconds: float = Field(default=10.0, gt=0, description="time to connect")
    read_seconds: float = Field(default=30.0, gt=0, description="longest silence of a server")
    max_seconds: float = Field(default=600.0, gt=0, description="time that one attempt may take in all")
    attempts: int = Field(
        default=4, ge=1, description="tries of one download; each goes on where one broke off"
    )
    backoff_seconds: float = Field(
        default=1.0, ge=0, description="wait before the second try; then it doubles"
    )
    max_wait_seconds: float = Field(default=300.0, ge=0, description="longest wait that a server may ask for")
    parallel: int = Field(default=4, ge=1, description="downloads at a time in each worker process")

    def with_hosts(self, hosts: list[str]) -> "DownloadPolicy":
        """The same policy with further hosts to download from."""
        return self.model_copy(update={"allowed_hosts": [*self.allowed_hosts, *hosts]})


def check_url(text: str, policy: DownloadPolicy) -> httpx.URL:
    """A URL that the policy allows.

    Raises:
        ItemError: rule "download": it is no URL, or leads where the policy does not allow.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise ItemError("download", "not a URL") from None
    host = host_of(url)
    if url.scheme not in (("https", "http") if policy.allow_http else ("https",)):
        raise ItemError("download", f"{host or 'URL'}: scheme {url.scheme!r} is not allowed")
    if url.userinfo:
        raise ItemError("download", f"{host}: a URL with a user name or a password is not allowed")
    if not host or not listed(host, port_of(url), policy.allowed_hosts):
        raise ItemError("download", f"{host}:{port_of(url)}: the host is not in download.allowed_hosts")
    return url


def host_of(url: httpx.URL) -> str:
    """The host in lower-case ASCII, as DNS is asked for it."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


def port_of(url: httpx.URL) -> int:
    return url.port or _PORTS.get(url.scheme, 0)


def listed(host: str, port: int, hosts: list[str]) -> bool:
    """Whether a host is in a list of hosts; an entry without a port means the ports of HTTP and HTTPS."""
    for entry in hosts:
        name, _, number = entry.lower().rpartition(":")
        if not (name and number.isdecimal()):
            name, number = entry.lower(), ""
        ports = {int(number)} if number else set(_PORTS.values())
        name = name.strip("[]")
        suits = host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name
        if suits and port in ports:
            return True
    return False
