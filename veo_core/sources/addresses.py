"""Which addresses a download may connect to, decided once for each host."""

import ipaddress
import socket
import threading
from collections.abc import Callable

from veo_core.errors import ItemError
from veo_core.sources.policy import DownloadPolicy, listed

Resolver = Callable[[str, int], list[str]]

# IETF protocol assignments, of which some releases of `ipaddress` know only parts (RFC 6890), relays, and
# prefixes through which a packet to an IPv4 address travels inside an IPv6 one (RFC 6052, 8215, 3056, 4380).
_SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    )
]


def is_public(address: str) -> bool:
    """Whether an address belongs to a host of the public internet, and to one host only."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.scope_id or ip.is_site_local):
        return False
    special = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved
    listed_special = any(ip in network for network in _SPECIAL if network.version == ip.version)
    return ip.is_global and not (special or listed_special or ip.is_unspecified)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, from the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Pins:
    """The addresses of hosts, each resolved once: no later answer of DNS leads a download elsewhere.

    Args:
        policy: which hosts may lie at addresses that are not public.
        resolver: gives the addresses of a host.
    """

    def __init__(self, policy: DownloadPolicy, resolver: Resolver = resolve) -> None:
        self._policy = policy
        self._resolver = resolver
        self._lock = threading.Lock()
        self._pinned: dict[tuple[str, int], list[str]] = {}

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, the same at every call.

        Raises:
            ItemError: rule "download": the host is unknown, or one of its addresses is not public.
            OSError: the resolver failed; another try may succeed.
        """
        with self._lock:
            if (host, port) not in self._pinned:
                self._pinned[host, port] = self._resolve(host, port)
            return self._pinned[host, port]

    def _resolve(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolver(host, port)
        except UnicodeError:
            raise ItemError("download", f"{host}: not a host name") from None
        if not addresses:
            raise ItemError("download", f"{host}: no address")
        if not listed(host, port, self._policy.allow_private_hosts):
            for address in addresses:
                if not is_public(address):
                    raise ItemError("download", f"{host}: lies at {address}, which is not a public address")
        return addresses
