"""The record of a registered model."""

from pydantic import Field

from veo_core.evaluate.records import SummaryRow
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.safety.records import Decision

SCHEMA_VERSION = 1


class LicenceCount(Record):
    """How many training clips come from sources under one licence."""

    licence: str = Field(description="as the rights sidecars state it; empty where they state none")
    sources: int
    clips: int


class TrainingData(Record):
    """What the model was trained on."""

    sources: int
    train_clips: int
    validation_clips: int
    train_seconds: float
    licences: list[LicenceCount]


class ModelEntry(Record):
    """A registered model: what it is made of, what it was made from, and how good and safe it was found."""

    schema_version: int = SCHEMA_VERSION
    name: str
    version: int = Field(ge=1)
    models: dict[str, Manifest] = Field(description="manifest of each trained part, by its role")
    evidence: dict[str, str] = Field(description="digests of dataset, generated, evaluation, safety manifests")
    data: TrainingData
    metrics: list[SummaryRow]
    decision: Decision
    intended_use: str
    limits: list[str]
    card: FileRef = Field(description="the model card, Markdown")

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def content(self) -> str:
        """Digest of all but the version and the card that names it: equal for equal models."""
        value = self.model_dump(mode="json", exclude={"version", "card"})
        return sha256_bytes(canonical_json(value))
