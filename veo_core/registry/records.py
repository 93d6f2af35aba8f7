"""The record of a registered model."""

from pydantic import Field

from veo_core.evaluate.records import SummaryRow
from veo_core.records.base import Record
from veo_core.records.files import FileRef
from veo_core.records.generated import ModelFiles
from veo_core.safety.records import Decision, Figure, SignOffs

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


class ModelDescription(Record):
    """What a model is made of, what it was made from, and how good and safe it was found."""

    name: str
    files: ModelFiles
    training: dict[str, dict[str, float]] = Field(description="figures of each training stage, by its part")
    manifests: dict[str, str] = Field(description="digest of every manifest behind the model, by its role")
    data: TrainingData
    metrics: list[SummaryRow]
    safety: list[Figure]
    decision: Decision
    sign_offs: SignOffs = Field(
        default_factory=SignOffs, description="approvals and waivers that the decision rests on"
    )
    intended_use: str
    limits: list[str]


class ModelEntry(Record):
    """A registered model. Equal descriptions share one version."""

    schema_version: int = SCHEMA_VERSION
    version: int = Field(ge=1)
    description: ModelDescription
    card: FileRef = Field(description="the model card, Markdown")

    @property
    def reference(self) -> str:
        return f"{self.description.name}@{self.version}"
