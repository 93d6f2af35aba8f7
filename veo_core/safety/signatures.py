"""Signatures of approvals and waivers: Ed25519 (RFC 8032) over their canonical JSON."""

from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from veo_core.errors import UsageError
from veo_core.records.base import canonical_json
from veo_core.safety.records import Approval, Waiver

SignedT = TypeVar("SignedT", Approval, Waiver)


def signed(record: SignedT, key: Ed25519PrivateKey) -> SignedT:
    """The record with the key's name and its signature."""
    named = record.model_copy(update={"key": public_key(key)})
    return named.model_copy(update={"signature": key.sign(_message(named)).hex()})


def is_genuine(record: Approval | Waiver) -> bool:
    """Whether the signature is that of the key which the record names, under all of its other fields."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(record.key))
        key.verify(bytes.fromhex(record.signature), _message(record))
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key(key: Ed25519PrivateKey) -> str:
    """The public key in hexadecimal, as policies list it."""
    return key.public_key().public_bytes_raw().hex()


def load_key(path: Path) -> Ed25519PrivateKey:
    """A private key from a PEM file (PKCS #8, as `openssl genpkey -algorithm ed25519` writes it).

    Raises:
        UsageError: it cannot be read, is encrypted, or is of another kind.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UsageError(f"{path}: holds no PEM private key without password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: not an Ed25519 key; make one with `veo approve --new-key FILE`")
    return key


def write_new_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and write it to a new file that its owner alone may read.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    return key


def _message(record: Approval | Waiver) -> bytes:
    """What is signed: the kind of the record and its fields, so that none stands for another kind."""
    fields = record.model_dump(mode="json", exclude={"signature"})
    return canonical_json({"kind": type(record).__name__, **fields})
