"""What a generated clip's C2PA manifest says, and the manifest's definition in the library's terms.

Source: C2PA technical specification 2.2, sections "Actions" and "Soft binding". The prompt itself is never in
it, only its sha256; who can guess a prompt can check the guess.
"""

import uuid
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import Field

from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.generated import Mode

PRODUCT = "veo-from-scratch"
GENERATION_LABEL = "org.veo-from-scratch.generation"
"""Label of the assertion that names model, seed and prompt."""
SOFT_BINDING_ALGORITHM = "org.veo-from-scratch.spread-spectrum.1"
"""Our watermark's name. It is not in C2PA's list of soft binding algorithms: only this product reads it."""

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
"""Digital source type of what a model made as a whole."""
COMPOSITE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""Digital source type of a given video with a made sound, or of a given sound with made pictures."""


class SoftBinding(Record):
    """The watermark that leads back to a clip whose manifest was lost."""

    payload: str = Field(pattern="^[0-9a-f]{12}$", description="model id, then generation id, hexadecimal")
    key_id: str = Field(description="short hash of the key that reads it")


class GenerationClaim(Record):
    """What is claimed of a generated clip."""

    model: str = Field(description="NAME@VERSION of a registered model, else empty")
    model_digest: str = Field(description="sha256 over the digests of the model's weights and configurations")
    entry_digest: str = Field(
        default="", description="sha256 of the model's registry entry, where it has one"
    )
    prompt_sha256: str = Field(description="sha256 of the prompt in UTF-8")
    seed: int
    mode: Mode
    soft_binding: SoftBinding | None = None

    @property
    def source_type(self) -> str:
        """The IPTC digital source type."""
        return COMPOSITE if self.mode in ("v2a", "a2v") else GENERATED


def definition(claim: GenerationClaim, media_sha256: str) -> dict[str, Any]:
    """The manifest for c2pa's Builder; its identifiers follow from the claim and the unsigned file.

    Args:
        claim: what the manifest says.
        media_sha256: sha256 of the file before it is signed.
    """
    made: dict[str, Any] = {
        "action": "c2pa.created",
        "digitalSourceType": claim.source_type,
        "softwareAgent": {"name": claim.model or PRODUCT},
    }
    actions = [made]
    assertions: list[dict[str, Any]] = [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]
    if claim.soft_binding is not None:
        actions.append({"action": "c2pa.watermarked.bound"})
        block = {"scope": {}, "value": claim.soft_binding.payload}
        data = {"alg": SOFT_BINDING_ALGORITHM, "blocks": [block]}
        assertions.append({"label": "c2pa.soft-binding", "data": data})
    assertions.append({"label": GENERATION_LABEL, "data": claim.model_dump(mode="json")})
    seed = canonical_json([claim.model_dump(mode="json"), media_sha256])
    return {
        "claim_generator_info": [{"name": PRODUCT, "version": product_version()}],
        "title": f"{media_sha256[:16]}.mp4",
        "label": f"urn:c2pa:{_uuid(b'label', seed)}",
        "instance_id": f"xmp:iid:{_uuid(b'instance', seed)}",
        "assertions": assertions,
    }


def product_version() -> str:
    """The installed version of this product; "unknown" where it is not installed as a package."""
    try:
        return version(PRODUCT)
    except PackageNotFoundError:
        return "unknown"


def _uuid(purpose: bytes, seed: bytes) -> uuid.UUID:
    """A UUID of version 4's form from a digest, so that equal claims have equal identifiers."""
    return uuid.UUID(bytes=bytes.fromhex(sha256_bytes(purpose + seed)[:32]), version=4)
