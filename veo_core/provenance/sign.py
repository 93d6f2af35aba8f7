"""Signing: an MP4 file with its manifest in it."""

import io
import json
from pathlib import Path

import c2pa

from veo_core.errors import UsageError
from veo_core.provenance.claim import GenerationClaim, definition
from veo_core.provenance.credentials import Credentials
from veo_core.records.base import sha256_bytes

# The reader's verdict is what counts, and it is asked for apart; nothing here asks the network.
_SETTINGS = {
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


def sign(source: Path | bytes, claim: GenerationClaim, credentials: Credentials) -> bytes:
    """An MP4 file with a signed manifest.

    The library salts every assertion with random bytes: signing twice gives two files whose pictures, sound
    and claims are equal.

    Args:
        source: the file, or its bytes.
        claim: what the manifest says.
        credentials: who signs.

    Raises:
        UsageError: the file cannot be read, or the certificate or what holds its key cannot sign.
    """
    data = source if isinstance(source, bytes) else _bytes_of(source)
    manifest = json.dumps(definition(claim, sha256_bytes(data)))
    signed = io.BytesIO()
    try:
        with (
            credentials.signer() as signer,
            c2pa.Context.from_dict(_SETTINGS) as context,
            c2pa.Builder(manifest, context) as builder,
        ):
            builder.sign(signer, "video/mp4", io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"the clip cannot be signed: {reason}") from None
    return signed.getvalue()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
