"""The record of one clip, from the source file to the training shard."""

from typing import Literal

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.files import FileRef

Permission = Literal["allowed", "denied", "unknown"]
Split = Literal["train", "validation"]


class ContentCredentials(Record):
    """A C2PA manifest that came inside a file; a transcode strips it, so what it said is kept here.

    Source: https://c2pa.org/specifications/. Nothing here says that the signer is to be trusted.
    """

    sha256: str = Field(description="of the manifest store's bytes")
    claim: str = Field(description="label of the active manifest")
    generator: str = Field(default="", description="the software that made the claim")
    issuer: str = Field(default="", description="organisation that the signing certificate names")
    state: str = Field(default="", description="whether signature and hashes fit: Valid, Trusted or Invalid")


class Source(Record):
    """A source file, where it came from, and what its rights allow."""

    source_id: str = Field(description="sha256 of the name and the file's sha256, so that copies stay apart")
    name: str = Field(description="path relative to the footage folder, or the URL's path")
    file: FileRef
    origin: str = Field(description="kind of source: folder, bucket, list, pexels or world")
    source_url: str = Field(default="", description="page that shows the footage, or its URL without a query")
    author: str = ""
    author_url: str = ""
    licence_id: str = ""
    licence_url: str = ""
    retrieved_at: str = Field(default="", description="ISO 8601, as stated, or when it was downloaded")
    ml_training: Permission = "unknown"
    evidence: str = ""
    caption: str = Field(default="", description="caption that came with the footage, if any")
    transcript: str = Field(default="", description="what is spoken, where it came with the footage")
    credentials: ContentCredentials | None = Field(default=None, description="C2PA manifest, if any")


class MediaFacts(Record):
    """What the prepared file is, as read back from it.

    made_by: "remux" where the source's own compressed pictures and sound were copied, else "transcode".
    """

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    audio_rate: int
    audio_seconds: float
    audio_channels: int = 1
    codec: str = "h264"
    made_by: Literal["remux", "transcode"] = "transcode"


class Signals(Record):
    """Figures measured in the one decode pass over the source shot, before the transcode.

    Those of the picture and the sound are about the clip's time; only sync is about the whole shot.

    motion: mean absolute luma difference of consecutive frames at analysis size, 0 to 255.
    sharpness: share of the picture's fine variation that a further blur would take away, 0 to 1.
    luma: mean luma, 0 to 255. contrast: its standard deviation.
    underexposed, overexposed: shares of the picture at levels of at most 16 and at least 239 of 255.
    text: score of burnt-in text, 0 to 1. bars: share of the picture that black bars covered.
    has_audio: whether the source has a sound track.
    loudness: dBFS root mean square of the sound, -120 for silence or no sound track.
    lufs: EBU R128 integrated loudness, LUFS; -70, its gate, for silence.
    silence: share of the clip's time that is below -60 dBFS.
    clipped: share of samples at full scale.
    duration_gap: seconds by which the source's sound is longer than its picture, None without a sound track.
    sync: seconds by which the sound lags the picture, None where nothing can be matched.
    """

    motion: float
    sharpness: float
    luma: float
    contrast: float
    underexposed: float = 0.0
    overexposed: float = 0.0
    text: float
    bars: float
    has_audio: bool = True
    loudness: float
    lufs: float = -70.0
    silence: float = 0.0
    clipped: float
    duration_gap: float | None = None
    sync: float | None = None


class Description(Record):
    """What a judge says about a clip from its key frames."""

    text: str
    objects: list[str] = Field(default_factory=list)
    setting: str = ""
    people: int = Field(default=0, description="how many are in view")
    visible_text: list[str] = Field(
        default_factory=list, description="what can be read, personal data left out"
    )
    camera: str = Field(default="", description="how the camera moves")
    judge: str
    judge_version: str


class Annotation(Record):
    """Captions for training, from frames and sound. Empty where the judge does not say."""

    caption: str
    short_caption: str
    sound: str = Field(description="what is heard")
    subject: str = ""
    action: str = ""
    setting: str = ""
    camera: str = Field(default="", description="framing and motion")
    style: str = ""
    sound_events: list[str] = Field(default_factory=list)
    judge: str
    judge_version: str


class Region(Record):
    """A box around something in one key frame, in shares of the picture's width and height."""

    frame: int = Field(description="index of the key frame")
    x0: float = Field(description="left edge")
    y0: float = Field(description="top edge")
    x1: float
    y1: float


class Flag(Record):
    """Something that a judge saw in a clip and for which the quality filter has a policy, such as a face."""

    kind: str
    policy: Literal["keep", "blur", "drop"] = Field(description="what the policy demanded")
    regions: list[Region] = Field(default_factory=list, description="where; blurred where policy is blur")


class Clip(Record):
    """One clip: a shot of a source, prepared to the training spec."""

    clip_id: str = Field(description="sha256 of the source id and the shot; `media.sha256` names the content")
    source: Source
    shot: int = Field(description="index of the shot in its source")
    start: float = Field(description="seconds into the source")
    media: FileRef
    facts: MediaFacts
    signals: Signals
    packet_hash: str = Field(description="sha256 of the source's compressed packets, container left out")
    frame_hashes: list[str] = Field(description="perceptual hashes in time order, hexadecimal")
    key_frames: list[FileRef] = Field(description="JPEG files in time order")
    description: Description | None = None
    flags: list[Flag] = Field(default_factory=list, description="set by the quality filter")
    annotation: Annotation | None = None
    split: Literal["train", "validation", ""] = ""
    bucket: str = Field(default="", description="name of the bucket that package put it in")
    shard: str = Field(default="", description="name of the shard file that holds it")


class ClipSignature(Record):
    """What dedup compares, in a table of its own because it is larger than all the rest of a clip."""

    clip_id: str
    signature: str = Field(description="base64 of colour thumbnails (veo_core.media.signature)")
    seconds: float = Field(gt=0, description="length of the shot that the signature is of")


class NearPair(Record):
    """Two clips that look alike: what comes from their sources must not part into different splits.

    Table `near_pairs`, from dedup, forwarded to package: kept clips in the grey band, and dropped copies with
    the clip that was kept for them. `first` < `second` are clip ids.
    """

    first: str
    second: str
    first_source: str = Field(description="source id of `first`")
    second_source: str = Field(description="source id of `second`")
    score: float = Field(description="likeness, a cosine: 1 is a copy")


class Pair(Record):
    """One training pair: a text, or a text and a first frame, with the clip that it asks for."""

    pair_id: str = Field(description="mode and clip id")
    mode: Literal["t2v", "i2v"]
    clip_id: str
    split: Split
    bucket: str
    caption: str
    first_frame: FileRef | None = Field(default=None, description="JPEG, only for image-to-video")
    media: FileRef = Field(description="MP4 with sound")
    shard: str = Field(description="name of the shard file that holds the clip")
