"""The record of a registered model."""

from pydantic import Field

from veo_core.evaluate.records import Promotion, SummaryRow
from veo_core.records.base import Record
from veo_core.records.dataset import FilterQuality
from veo_core.records.drawing import Drawing
from veo_core.records.files import FileRef, TableRef
from veo_core.records.generated import ModelFiles
from veo_core.records.ledger import Outcome
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


class TrainedPart(Record):
    """How one part of the model was trained."""

    steps: int | None = Field(description="None where its history tells none")
    config: str = Field(description="digest of the stage's configuration")
    history: str = Field(description="sha256 of the file of its losses, empty where there is none")
    events: str = Field(description="sha256 of the TensorBoard file, which tells speed and FLOPs, or empty")


class TrainingRun(Record):
    """How the model was trained: seed, code and each part."""

    seed: int
    code: str = Field(description="version of this product that registered the model")
    parts: dict[str, TrainedPart]


class MarkCounts(Record):
    """Which of the generated clips that were evaluated carry what."""

    clips: int
    watermarked: int
    signed: int
    key_ids: list[str] = Field(description="short hashes of the keys that marked them, sorted")
    development_key: bool = Field(description="whether any was marked with the published key")
    issuers: list[str] = Field(description="organisations of the signing certificates, sorted")
    local_certificate: bool = Field(description="whether any was signed with a certificate made on the spot")


class ModelDescription(Record):
    """What a model is made of, what it was made from, and how good and safe it was found."""

    name: str
    files: ModelFiles
    training: dict[str, dict[str, float]] = Field(description="figures of each training stage, by its part")
    manifests: dict[str, str] = Field(description="digest of every manifest behind the model, by its role")
    data: TrainingData
    metrics: list[SummaryRow]
    scores: TableRef | None = Field(
        default=None, description="scores of its generated clips; None of models of earlier versions"
    )
    safety: list[Figure]
    decision: Decision
    sign_offs: SignOffs = Field(
        default_factory=SignOffs, description="approvals and waivers that the decision rests on"
    )
    intended_use: str
    limits: list[str]
    curation: list[Outcome] = Field(
        default_factory=list, description="what each stage of the curation decided, by reason"
    )
    filters: list[FilterQuality] = Field(
        default_factory=list, description="how well its filters work, where that was measured"
    )
    run: TrainingRun | None = Field(default=None, description="None of models of earlier versions")
    marks: MarkCounts | None = Field(default=None, description="None of models of earlier versions")
    drawing: Drawing | None = Field(
        default=None, description="how the clips that were evaluated are drawn; None of earlier versions"
    )


class ModelEntry(Record):
    """A registered model. Equal descriptions share one version."""

    schema_version: int = SCHEMA_VERSION
    version: int = Field(ge=1)
    description: ModelDescription
    promotion: Promotion | None = Field(
        default=None, description="whether it took the alias; None of earlier versions, which all did"
    )
    card: FileRef = Field(description="the model card, Markdown")
    ml_bom: FileRef | None = Field(
        default=None, description="bill of materials, CycloneDX JSON; None of models of earlier versions"
    )

    @property
    def reference(self) -> str:
        return f"{self.description.name}@{self.version}"
