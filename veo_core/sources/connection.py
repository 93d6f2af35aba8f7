"""Connections of one download: to pinned addresses, and never past a deadline."""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from veo_core.sources.addresses import Pins


class DeadlineStream(httpcore.NetworkStream):
    """A stream on which no operation lasts past the deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, self._deadline, httpcore.ConnectTimeout)
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore.NetworkBackend):
    """Opens sockets to the addresses that `pins` holds; URL, Host header and TLS keep the host's name.

    Args:
        pins: the addresses of hosts.
        deadline: reading of `time.monotonic()` at which every operation ends.
    """

    def __init__(self, pins: Pins, deadline: float) -> None:
        self._pins = pins
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._pins.addresses(host.lower().rstrip("."), port)
        except OSError as error:
            raise httpcore.ConnectError(f"name resolution failed: {error.strerror}") from None
        failure: Exception | None = None
        for address in addresses:
            left = _left(timeout, self._deadline, httpcore.ConnectTimeout)
            try:
                stream = self._sockets.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return DeadlineStream(stream, self._deadline)
        assert failure is not None
        raise failure


def _left(timeout: float | None, deadline: float, expired: type[Exception]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise expired("the time for this download is over")
    return left if timeout is None else min(timeout, left)
