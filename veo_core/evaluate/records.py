"""What the evaluation of generated clips writes."""

from typing import Literal

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.files import FileRef

SCHEMA_VERSION = 2

PROMOTION_SCHEMA_VERSION = 1

Group = Literal["generated", "real"]
Verdict = Literal["better", "worse", "undecided"]


class AttributeScore(Record):
    """One attribute of a prompt, and what the detectors saw or heard instead of it."""

    name: str
    wanted: str
    seen: str = Field(description="empty where the detectors found nothing")
    right: bool


class SeenObject(Record):
    """An object as the detectors see it; empty where they cannot tell."""

    shape: str = ""
    colour: str = ""
    direction: str = ""
    size: str = ""
    speed: str = ""


class ClipScore(Record):
    """Everything measured on one clip.

    Times are seconds from the first frame. A clip that cannot be decoded has `problem` set, counts as wrong
    in every attribute, and has no other figure.
    """

    clip_id: str = Field(description="sha256 of the media file")
    group: Group
    prompt: str
    split: str = Field(
        description='"seen" or "held_out" for generated clips, "real" for clips of the dataset'
    )
    mode: str = Field(description="a generated clip's mode; empty for clips of the dataset")
    seed: int = 0
    tags: list[str] = Field(
        default_factory=list, description="what the suite says of the prompt, such as concept:animals"
    )
    media: FileRef
    poster: FileRef | None = Field(default=None, description="JPEG of the middle frame")
    attributes: list[AttributeScore] = Field(
        default_factory=list, description="empty where the prompt is not of the detectors' grammar"
    )
    objects: list[SeenObject] = Field(default_factory=list)
    pitch: str = Field(default="", description="pitch heard; empty where none is")
    sentence: str = Field(default="", description="what the detectors saw and heard, in words")
    contacts: list[float] = Field(default_factory=list)
    onsets: list[float] = Field(default_factory=list)
    fps: float | None = None
    motion_peaks: list[float] = Field(default_factory=list, description="times of peaks of optical flow")
    sound_onsets: list[float] = Field(
        default_factory=list, description="onsets of any sound; `onsets` are those of the world's tones"
    )
    identity: float | None = Field(default=None, description="share of frames that show the usual objects")
    motion: float | None = None
    flicker: float | None = None
    loudness: float | None = Field(default=None, description="dBFS; none without a sound track")
    clipped: float | None = None
    first_frame: FileRef | None = Field(default=None, description="PNG that the clip was to start with")
    first_frame_rebuilt: FileRef | None = Field(
        default=None, description="that PNG after the video codec: the nearest that the clip can come to it"
    )
    first_frame_psnr: float | None = Field(
        default=None, description="dB of the first picture against the PNG"
    )
    first_frame_codec_psnr: float | None = Field(
        default=None, description="dB of the first picture against the PNG after the codec"
    )
    codec_psnr: float | None = Field(
        default=None, description="dB of the PNG after the codec against the PNG"
    )
    clip_score: float | None = Field(
        default=None, description="CLIPScore of prompt and frames, 0 to 100; none without weights"
    )
    lpips_first_frame: float | None = Field(
        default=None, description="LPIPS of the first picture and the one that was given"
    )
    lpips_drift: float | None = Field(
        default=None, description="mean LPIPS of later pictures and the clip's first"
    )
    desync: float | None = Field(
        default=None, description="seconds that a network hears between sound and picture"
    )
    problem: str = ""


class ClipFeatures(Record):
    """What one clip is in a space of features, in which sets of clips are compared."""

    clip_id: str
    group: Literal["generated", "real", "noise"] = Field(
        description='"noise": white noise of the shape of a real clip, what is surely wrong'
    )
    mode: str
    prompt: str
    tags: list[str] = Field(default_factory=list)
    space: str = Field(description='"mel", "video" or "audio"')
    width: int = Field(description="components of a vector")
    values: list[float] = Field(description="the vectors, one after the other")


class CopyView(Record):
    """What a clip is recognised by when it comes back as a copy."""

    clip_id: str
    signature: str = Field(description="base64 of colour thumbnails (veo_core.media.signature)")
    seconds: float = Field(gt=0)
    hashes: list[str] = Field(
        description="PDQ of five frames, evenly spread, hexadecimal; empty for a frame that is too flat"
    )


class Measured(Record):
    """All that is measured on one clip."""

    score: ClipScore
    features: list[ClipFeatures] = Field(default_factory=list)
    copy_view: CopyView | None = Field(default=None, description="none where the clip cannot be decoded")


class ConfusionRow(Record):
    """How often the detectors saw or heard one value where a prompt asked for another."""

    attribute: str
    split: str
    mode: str
    wanted: str
    seen: str = Field(description="empty where they found nothing")
    count: int


class SummaryRow(Record):
    """A figure with its 95 % interval, its floor on real clips and its chance level.

    `reference` is the same figure on real clips of the dataset: what the detectors themselves leave to be
    reached; of a distance between sets it is that between halves of the real clips. `control` is the same
    figure after prompts (or sounds) were exchanged between clips: what a generator that ignores its prompt
    (or its picture) would get; of a distance it is that of noise. `n` counts prompts, because clips of one
    prompt are no independent evidence.
    """

    metric: str
    split: str
    mode: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    unit: str
    better: Literal["higher", "lower", "neither"]
    reference: float | None = None
    control: float | None = None
    tier: int = Field(default=0, description="0 needs no weights, 1 own weights, 2 published weights")
    note: str = Field(default="", description="why there is no figure: not run, and what it needs")


class EvaluationSummary(Record):
    """The figures of a generated set, bound to what they were measured on."""

    schema_version: int = SCHEMA_VERSION
    generated: str = Field(description="digest of the generated manifest")
    dataset: str = Field(description="digest of the dataset manifest")
    rows: list[SummaryRow]

    def find(self, metric: str, split: str, mode: str = "t2v") -> SummaryRow | None:
        """The row of a metric, or None where it was not measured."""
        named = (row for row in self.rows if (row.metric, row.split, row.mode) == (metric, split, mode))
        return next(named, None)


class Difference(Record):
    """One metric of candidate and baseline on the prompts that both answered."""

    metric: str
    split: str
    mode: str
    candidate: float
    baseline: float
    difference: float = Field(description="candidate less baseline")
    ci_low: float
    ci_high: float
    prompts: int
    better: Literal["higher", "lower"]
    p_value: float = Field(description="two-sided, adjusted for the number of metrics")
    verdict: Verdict


class Promotion(Record):
    """Whether a candidate is to replace the version that was promoted last, and why.

    The rule: no metric significantly worse, at least one significantly better. Without a predecessor there
    is nothing to be worse than.
    """

    schema_version: int = PROMOTION_SCHEMA_VERSION
    candidate: str = Field(description="digest of the manifest of the generated clips")
    baseline: str = Field(description="NAME@VERSION; empty where no other model was promoted")
    promote: bool
    reason: str
    differences: list[Difference]
