"""The documents about what a run trained and made: see `documents` for the rest of them."""

from typing import Literal

from pydantic import Field

from veo_core.evaluate.records import AttributeScore, ConfusionRow, Promotion, SummaryRow
from veo_core.explorer.documents import GateSummary, RunSummary
from veo_core.lineage.difference import RunDifference
from veo_core.records.base import Record
from veo_core.records.generated import RefusedPrompt
from veo_core.registry.records import LicenceCount, MarkCounts, TrainedPart
from veo_core.safety.records import AttackFigure, BiasFigure, Check, Figure, SafetyVerdict, SignOffs


class Series(Record):
    """A curve: values over steps."""

    name: str
    validation: bool
    steps: list[float]
    values: list[float | None]


class Curve(Record):
    """A chart: a training figure and its validation share one."""

    title: str
    unit: str
    log: bool = Field(description="whether its values span decades and are positive")
    series: list[Series]


class Sample(Record):
    """A film that was made while the model trained; picture and sound are media."""

    picture: str
    sound: str
    prompt: str = ""


class SampleStep(Record):
    step: int
    clips: list[Sample]


class TrainedStage(Record):
    """A training stage."""

    task: int
    name: str
    state: str
    figures: dict[str, float]
    curves: list[Curve]
    throughput: list[Curve]
    samples: list[SampleStep]
    notes: list[str]


class TrainingDocument(Record):
    """/api/runs/{run}/training."""

    stages: list[TrainedStage]
    notes: list[str]


class MetricInfo(Record):
    """What a metric is."""

    name: str
    title: str
    says: str
    unit: str
    better: str
    tier: int


class Place(Record):
    """A group of clips of which figures are given, in the order to show them."""

    split: str
    mode: str
    title: str


class MadeClip(Record):
    """A generated clip with all that was measured on it; `real` clips of the dataset are measured alike."""

    id: str
    prompt: str
    split: str
    mode: str
    seed: int
    tags: list[str]
    media: str
    bytes: int
    poster: str
    first_frame: str = Field(description="PNG that it was to start with")
    attributes: list[AttributeScore]
    right: bool | None = Field(description="whether every attribute is right; None where none was asked for")
    sentence: str
    problem: str
    contacts: list[float]
    onsets: list[float]
    sound_onsets: list[float]
    motion_peaks: list[float]
    fps: float | None
    seconds: float | None
    width: int | None
    height: int | None
    figures: dict[str, float | None]
    unsafe: bool | None = Field(description="by the safety judge; None where it was not asked")
    unsafe_reason: str
    marked: bool | None = Field(description="whether it carries a watermark; None where not known")
    signed: bool | None


class Safety(Record):
    """The safety report in figures."""

    judge: str
    judge_versions: list[str]
    figures: list[Figure]
    titles: dict[str, str]
    attacks: list[AttackFigure]
    bias: list[BiasFigure]
    passed_attacks: list[SafetyVerdict] = Field(description="prompts that should have been refused")
    unsafe_outputs: list[SafetyVerdict]


class EvaluationDocument(Record):
    """/api/runs/{run}/evaluation."""

    metrics: list[MetricInfo]
    places: list[Place]
    rows: list[SummaryRow]
    confusion: list[ConfusionRow]
    clips: list[MadeClip]
    refused: list[RefusedPrompt]
    safety: Safety | None
    gate: GateSummary | None
    checks: list[Check]
    promotion: Promotion | None
    notes: list[str]


class SignalsDocument(Record):
    """/api/runs/{run}/signals/{clip}: what a generated clip does over time."""

    fps: float
    seconds: float
    motion: list[float] = Field(description="mean difference of luma between frames, 0 to 1")
    waveform: list[tuple[float, float]] = Field(description="least and greatest sample of equal spans")


class Block(Record):
    """A block of a Markdown text; inline marks are left in."""

    kind: Literal["heading", "paragraph", "list", "table", "code"]
    level: int = 0
    text: str = ""
    items: list[str] = Field(default_factory=list)
    head: list[str] = Field(default_factory=list)
    rows: list[list[str]] = Field(default_factory=list)


class Download(Record):
    """A file of the model."""

    name: str
    sha256: str
    bytes: int
    path: str = Field(description="in the store")
    there: bool = Field(description="whether the store has it in full size")


class SourceGroup(Record):
    """Training sources of one author, origin and licence."""

    licence: str
    licence_url: str
    origin: str
    author: str
    permission: str
    sources: int
    clips: int


class ModelDocument(Record):
    """/api/runs/{run}/model: the registry entry that the run made."""

    reference: str
    intended_use: str
    limits: list[str]
    card: list[Block]
    licences: list[LicenceCount]
    train_clips: int
    validation_clips: int
    train_seconds: float
    sources: list[SourceGroup]
    files: list[Download]
    manifests: dict[str, str]
    training: dict[str, dict[str, float]]
    parts: dict[str, TrainedPart]
    marks: MarkCounts | None
    sign_offs: SignOffs
    gate: GateSummary | None
    promotion: Promotion | None
    notes: list[str]


class ClipPair(Record):
    """Clips that two runs made of one prompt."""

    id: str
    prompt: str
    split: str
    mode: str
    seed: int
    first: MadeClip
    second: MadeClip


class CompareDocument(Record):
    """/api/compare/{a}/{b}: what differs between two runs, and what both made of the same prompts."""

    first: RunSummary
    second: RunSummary
    difference: RunDifference | None
    pairs: list[ClipPair]
    notes: list[str]


class VotesDocument(Record):
    """/api/votes/{a}/{b}: what people prefer, overall; a tie is half a win."""

    votes: int
    wins_a: int
    wins_b: int
    ties: int
    win_rate: float | None
    ci_low: float | None
    ci_high: float | None
    raters: int
    left_out: list[str]


class Ballot(Record):
    """POST /api/votes: a vote as the page sends it."""

    a: str
    b: str
    pair: str
    choice: Literal["left", "right", "tie"]
    left: Literal["a", "b"]
    rater: str = Field(default="explorer", min_length=1, max_length=64)
    seconds: float = Field(default=0.0, ge=0)
    watched: bool = False
    heard: bool = False
