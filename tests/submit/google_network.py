"""A network on loopback where Google's host names lead to local servers, over TLS, through an HTTP proxy.

The SDKs run as they are: they take the proxy, the certificate authority and the credentials from the
environment, resolve nothing, and find servers of our own behind `us-central1-aiplatform.googleapis.com`.
"""

import json
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certificates import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class Certified:
    """What Google's servers show: a certificate for all their names.

    Attributes:
        roots: file of the authority's certificate.
        chain, key: files of the servers' own.
    """

    roots: Path
    chain: Path
    key: Path

    @classmethod
    def by(cls, authority: Authority, folder: Path) -> "Certified":
        made = cls(folder / "roots.pem", folder / "server.pem", folder / "server.key")
        chain, key = authority.issue_for("*.googleapis.com", "*.pkg.dev")
        for path, pem in ((made.roots, authority.pem()), (made.chain, chain), (made.key, key)):
            path.write_bytes(pem)
        return made

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


def write_account_key(path: Path, project: str) -> str:
    """Write a service account's key file, as `gcloud iam service-accounts keys create` does.

    Returns:
        The private key in it.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "0123456789abcdef",
        "private_key": private,
        "client_email": f"submitter@{project}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path.write_text(json.dumps(account))
    return private


class Proxy:
    """An HTTP proxy whose CONNECT to a host of Google leads to a local server, and nowhere else."""

    def __init__(self, *, grpc: int, rest: int) -> None:
        """
        Args:
            grpc: local port of those that speak HTTP/2.
            rest: local port of those that do not.
        """
        self._grpc, self._rest = grpc, rest
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            host = request.split()[1].decode().partition(":")[0]
            if not host.endswith((".googleapis.com", ".pkg.dev")):
                client.sendall(b"HTTP/1.1 502 no such host\r\n\r\n")
                return
            client.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
            hello = _first_record(client)
            port = self._grpc if _HTTP2 in hello else self._rest
            with socket.create_connection(("127.0.0.1", port)) as server:
                server.sendall(hello)
                forth = threading.Thread(target=_copy, args=(client, server), daemon=True)
                forth.start()
                _copy(server, client)
                forth.join()


_HTTP2 = b"\x02h2"  # in the list of protocols that a client offers


def _first_record(client: socket.socket) -> bytes:
    """TLS's first message, in which the client says what it speaks."""
    record = client.recv(5)
    while len(record) < 5 or len(record) < 5 + int.from_bytes(record[3:5], "big"):
        data = client.recv(4096)
        if not data:
            break
        record += data
    return record


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
