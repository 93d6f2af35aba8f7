"""What a mark and a manifest call a model and a clip."""

from dataclasses import dataclass

from veo_core.records.base import canonical_json, sha256_bytes


@dataclass(frozen=True)
class ModelIdentity:
    """Which model makes clips.

    Attributes:
        digest: sha256 over the digests of its weights and configurations, as `ModelFiles.digest`.
        reference: NAME@VERSION of a registered model, else empty.
        entry: sha256 of its registry entry, else empty.
    """

    digest: str
    reference: str = ""
    entry: str = ""

    @property
    def model_id(self) -> int:
        """The 16 bits that a watermark carries of the digest."""
        return model_id_of(self.digest)


def model_id_of(digest: str) -> int:
    """The first 16 bits of a model's digest. Several of some hundred models share them by chance."""
    return int(digest[:4], 16)


def generation_id_of(prompt: str, seed: int) -> int:
    """32 bits that name what was asked for: prompt and seed."""
    return int(sha256_bytes(canonical_json([sha256_bytes(prompt.encode()), seed]))[:8], 16)
