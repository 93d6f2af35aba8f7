"""Reading: what the C2PA manifest of a file says, and whether it holds.

Source: C2PA technical specification 2.2, sections A.5 (BMFF) and "Validation states".
"""

import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal

import c2pa
from pydantic import Field, ValidationError

from veo_core.errors import UsageError
from veo_core.provenance.claim import GENERATION_LABEL, GenerationClaim
from veo_core.records.base import Record

ManifestState = Literal["none", "invalid", "valid", "trusted"]

_MANIFEST_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MAX_BOXES = 10_000
_MAX_MANIFEST_BYTES = 32 << 20
# What a certificate may be for: e-mail, documents, C2PA claims.
_PURPOSES = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"
_UNREADABLE = (c2pa.C2paError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class ManifestReading(Record):
    """What the manifest in a file says.

    state: none: there is no manifest; invalid: file, manifest and signature do not fit; valid: they do, and
    nobody vouches for the signer; trusted: an anchor that the reader chose does.
    """

    state: ManifestState
    problems: list[str] = Field(default_factory=list, description="codes of what does not hold")
    manifest: str = Field(default="", description="label of the active manifest")
    generator: str = Field(default="", description="product that made the claim, and its version")
    issuer: str = Field(default="", description="organisation that the signing certificate names")
    signer: str = Field(default="", description="common name of that certificate")
    source_type: str = Field(default="", description="last word of the IPTC digital source type")
    soft_binding: str = Field(default="", description="algorithm of the watermark that it names")
    claim: GenerationClaim | None = Field(default=None, description="of clips that this product made")


def read_manifest(source: Path | bytes, *, anchors: bytes | None = None) -> ManifestReading:
    """Validate and read the manifest in an MP4 or MOV file; it never asks the network.

    An untrusted file is read in a process of its own (`veo_core.media.isolate`).

    Args:
        source: the file, or its bytes.
        anchors: certificates whose signatures are trusted, PEM; without any nothing is "trusted".

    Raises:
        UsageError: the file cannot be read, or the anchors are no certificates.
    """
    with _opened(source) as stream:
        if manifest_in(stream) is None:
            return ManifestReading(state="none")
        stream.seek(0)
        try:
            return _read(stream, _settings(anchors))
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())[:200]
            return ManifestReading(state="invalid", problems=[reason or type(error).__name__])


def read_store(
    stream: BinaryIO, settings: dict[str, Any], *, beside: bytes | None = None
) -> tuple[dict[str, Any], str]:
    """The manifest store of a file as the library tells it, and the state that it finds.

    Args:
        stream: an MP4 or MOV file.
        settings: of the library.
        beside: a manifest store that came beside the file.

    Raises:
        c2pa.C2paError: the store cannot be read.
        ValueError: what the library tells is no JSON.
    """
    context = c2pa.Context.from_dict(settings)
    with c2pa.Reader("video/mp4", stream, beside, context) as reader:
        return json.loads(reader.json()), reader.get_validation_state() or ""


def manifest_in(stream: BinaryIO) -> bytes | None:
    """The C2PA manifest store in an MP4 or MOV file, None where it has none."""
    size = stream.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_MAX_BOXES):
        if position + 8 > size:
            return None
        stream.seek(position)
        header = stream.read(16)
        length, start = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, start = int.from_bytes(header[8:16], "big"), 16
        end = size if length == 0 else position + length
        if end < position + start:
            return None
        if header[4:8] == b"uuid":
            found = _manifest_in_box(stream, position + start, min(end, size))
            if found is not None:
                return found
        position = end
    return None


def _manifest_in_box(stream: BinaryIO, start: int, end: int) -> bytes | None:
    """The JUMBF superbox in a `uuid` box: identifier, version and flags, purpose, offset, then it."""
    stream.seek(start)
    body = stream.read(min(end - start, _MAX_MANIFEST_BYTES))
    if body[:16] != _MANIFEST_BOX:
        return None
    purpose, _, rest = body[20:].partition(b"\0")
    return rest[8:] if purpose == b"manifest" else None


def _opened(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except OSError as error:
        raise UsageError(f"{source}: cannot be read: {error.strerror}") from None


def _settings(anchors: bytes | None) -> dict[str, Any]:
    verify = {"verify_trust": anchors is not None, "remote_manifest_fetch": False, "ocsp_fetch": False}
    if anchors is None:
        return {"verify": verify}
    return {"verify": verify, "trust": {"trust_anchors": anchors.decode(), "trust_config": _PURPOSES}}


def _read(stream: BinaryIO, settings: dict[str, Any]) -> ManifestReading:
    store, found = read_store(stream, settings)
    active = store["manifests"][store["active_manifest"]]
    states: dict[str, ManifestState] = {"Valid": "valid", "Trusted": "trusted"}
    generator = (active.get("claim_generator_info") or [{}])[0]
    signature = active.get("signature_info") or {}
    assertions = active.get("assertions") or []
    failures = (store.get("validation_results") or {}).get("activeManifest", {}).get("failure", [])
    return ManifestReading(
        state=states.get(found, "invalid"),
        problems=sorted({str(failure["code"]) for failure in failures}),
        manifest=str(store["active_manifest"]),
        generator=f"{generator.get('name', '')} {generator.get('version', '')}".strip(),
        issuer=str(signature.get("issuer", "")),
        signer=str(signature.get("common_name", "")),
        source_type=_source_type(assertions),
        soft_binding=next((_soft_binding(a) for a in assertions if a["label"] == "c2pa.soft-binding"), ""),
        claim=next((_claim(a["data"]) for a in assertions if a["label"] == GENERATION_LABEL), None),
    )


def _source_type(assertions: list[dict[str, Any]]) -> str:
    for assertion in assertions:
        if assertion["label"].startswith("c2pa.actions"):
            for action in assertion["data"]["actions"]:
                if action.get("digitalSourceType"):
                    return str(action["digitalSourceType"]).rpartition("/")[2]
    return ""


def _soft_binding(assertion: dict[str, Any]) -> str:
    return str(assertion["data"].get("alg", ""))


def _claim(data: Any) -> GenerationClaim | None:
    try:
        return GenerationClaim.model_validate(data)
    except ValidationError:
        return None  # another version of this product, or somebody else under our name
