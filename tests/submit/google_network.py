"""A network on loopback where Google's host names lead to local servers, over TLS, through an HTTP proxy.

The SDKs run as they are: they take the proxy, the certificate authority and the credentials from the
environment, resolve nothing, and find servers of our own behind `us-central1-aiplatform.googleapis.com`.
"""

import datetime
import json
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """A certificate authority that signed one certificate for all names of Google.

    Attributes:
        roots: file of the authority's certificate.
        certificate, key: files of the certificate that servers show.
    """

    roots: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        names = ["*.googleapis.com", "*.pkg.dev"]
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
        root = _certificate(root_name, root_name, root_key, root_key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        leaf = _certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), root_name, key, root_key
        ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        made = cls(folder / "roots.pem", folder / "server.pem", folder / "server.key")
        pem = serialization.Encoding.PEM
        made.roots.write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(pem))
        made.certificate.write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(pem))
        made.key.write_bytes(_private_pem(key))
        return made

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_account_key(path: Path, project: str) -> str:
    """Write a service account's key file, as `gcloud iam service-accounts keys create` does.

    Returns:
        The private key in it.
    """
    private = _private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)).decode()
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
