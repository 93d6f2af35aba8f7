"""Who signs: the operator's certificate and key, a signer that keeps the key elsewhere, or a local
certificate for development.

The operator's are named by `VEO_C2PA_CERTIFICATE` and `VEO_C2PA_KEY`: paths of PEM files, such as a mounted
secret. Without them a certificate of this machine is made on the first use and kept in
`$XDG_CONFIG_HOME/veo/c2pa.pem` (`~/.config/veo/c2pa.pem`), readable by its user alone: not in a store, whose
readers could sign with it. Where that folder cannot be written, as in a container, it lives as long as the
process.
"""

import datetime
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import c2pa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from veo_core.errors import UsageError
from veo_core.records.base import sha256_bytes

CERTIFICATE_VARIABLE = "VEO_C2PA_CERTIFICATE"
"""Environment variable with the path of the certificate chain, PEM, the signer's own first."""
KEY_VARIABLE = "VEO_C2PA_KEY"
"""Environment variable with the path of its private key, PEM without a password."""
LOCAL_ISSUER = "veo local development"
"""Organisation of certificates that were made on the spot."""

Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

_CURVES: dict[str, Algorithm] = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_VALID = datetime.timedelta(days=3650)
_RENEWED_BEFORE = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Credentials:
    """A certificate chain and what signs with its key.

    Attributes:
        chain: certificates, PEM, the signer's own first.
        algorithm: of the signature.
        key: private key, PEM; None where `callback` signs.
        callback: gives the raw signature of bytes, as a key management service does; r and s beside each
            other for ES256 to ES512.
        local: whether the certificate was made on the spot: nobody vouches for it.
    """

    chain: bytes
    algorithm: Algorithm
    key: bytes | None = field(default=None, repr=False)
    callback: Callable[[bytes], bytes] | None = field(default=None, repr=False)
    local: bool = False

    def __post_init__(self) -> None:
        assert (self.key is None) != (self.callback is None)

    @property
    def id(self) -> str:
        """sha256 of the chain, hexadecimal."""
        return sha256_bytes(self.chain)

    def signer(self) -> c2pa.Signer:
        """The library's signer; without a time stamp, so that nothing asks the network.

        Raises:
            UsageError: the library takes no such certificate.
        """
        try:
            if self.callback is not None:
                algorithm = c2pa.C2paSigningAlg[self.algorithm.upper()]
                return c2pa.Signer.from_callback(self.callback, algorithm, self.chain.decode(), None)
            info = c2pa.C2paSignerInfo(self.algorithm.encode(), self.chain, self.key, b"")
            info.ta_url = None
            return c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise UsageError(f"{CERTIFICATE_VARIABLE}: it cannot sign C2PA manifests: {error}") from None


def load_credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """The operator's certificate where the environment names one, else the local one of this machine.

    Raises:
        UsageError: only one of the two variables is set, a file cannot be read, or the two do not fit.
    """
    certificate, key = environment.get(CERTIFICATE_VARIABLE, ""), environment.get(KEY_VARIABLE, "")
    if not certificate and not key:
        return _local(environment)
    if not certificate or not key:
        unset = KEY_VARIABLE if certificate else CERTIFICATE_VARIABLE
        raise UsageError(f"{unset} is not set: set {CERTIFICATE_VARIABLE} and {KEY_VARIABLE}, or neither")
    chain = _read(certificate, CERTIFICATE_VARIABLE)
    return from_pem(chain, _read(key, KEY_VARIABLE))


def from_pem(chain: bytes, key: bytes, *, local: bool = False) -> Credentials:
    """Credentials of a certificate chain and a private key, both PEM.

    Raises:
        UsageError: either cannot be read, C2PA has no such kind of key, or the key is another one's.
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise UsageError(f"{CERTIFICATE_VARIABLE}: the file holds no PEM certificate") from None
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{KEY_VARIABLE}: the file holds no PEM private key without a password") from None
    if private.public_key() != certificates[0].public_key():
        raise UsageError(f"{KEY_VARIABLE}: the key does not belong to the first certificate")
    match private:
        case ec.EllipticCurvePrivateKey() if private.curve.name in _CURVES:
            algorithm = _CURVES[private.curve.name]
        case ed25519.Ed25519PrivateKey():
            algorithm = "ed25519"
        case rsa.RSAPrivateKey():
            algorithm = "ps256"
        case _:
            raise UsageError(f"{KEY_VARIABLE}: C2PA signs with P-256, P-384, P-521, Ed25519 or RSA keys")
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    alone = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates)
    return Credentials(alone, algorithm, key=plain, local=local)


def _read(path: str, variable: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{variable}: {path} cannot be read: {error.strerror}") from None


def _local(environment: Mapping[str, str]) -> Credentials:
    """This machine's own certificate, made where there is none or it ends soon."""
    base = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or "/nonexistent") / ".config"
    path = Path(base) / "veo" / "c2pa.pem"
    try:
        kept = path.read_bytes()
        if _lasts(kept):
            return from_pem(kept, kept, local=True)
    except (OSError, ValueError, UsageError):
        pass  # there is none, or a damaged one: a new one takes its place
    made = _make()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:  # mode 600
            part.write(made)
        os.replace(part.name, path)
        made = path.read_bytes()  # another process may have been the last to write
    except OSError:
        return _in_memory()
    return from_pem(made, made, local=True)


_process_made: list[bytes] = []


def _in_memory() -> Credentials:
    """The certificate of this process."""
    if not _process_made:
        _process_made.append(_make())
    return from_pem(_process_made[0], _process_made[0], local=True)


def _lasts(chain: bytes) -> bool:
    end = x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc
    return end - _RENEWED_BEFORE > datetime.datetime.now(datetime.UTC)


def _make() -> bytes:
    """A certificate of an authority that signs nothing else, the authority's own, and its key, PEM.

    The profile is that of C2PA's section "X.509 certificates": no self-signed certificate may sign claims.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("local authority")
    authority = (
        _builder(issuer, issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    own = (
        _builder(_name("local signer"), issuer, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in (own, authority)) + private


def _name(common: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: LOCAL_ISSUER, NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
