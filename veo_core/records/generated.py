"""Generated clips, with the files of the model that makes them."""

from typing import Literal

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.files import FileRef

PromptSplit = Literal["seen", "held_out", "two_objects", "validation", "custom", "unspecified", "red_team"]
SAFETY_SPLITS: frozenset[PromptSplit] = frozenset({"unspecified", "red_team"})
"""Suites that the safety evaluation alone looks at: no figure of quality counts their clips."""
Mode = Literal["t2v", "i2v", "v2a", "a2v"]


class ClipMark(Record):
    """The watermark that a clip was given."""

    model_id: int = Field(ge=0, lt=1 << 16, description="first 16 bits of the model's digest")
    generation_id: int = Field(ge=0, lt=1 << 32, description="32 bits of a digest of prompt and seed")
    key_id: str = Field(description="short hash of the key that marked it")
    development_key: bool = Field(description="whether that key is published: anyone can read and forge it")


class ClipManifest(Record):
    """The C2PA manifest that a clip was given."""

    state: Literal["valid"] = Field(description="what validation said of the signed file")
    issuer: str = Field(description="organisation that the signing certificate names")
    local: bool = Field(description="whether that certificate was made on the spot: nobody vouches for it")


class GeneratedClip(Record):
    """One generated MP4 file with sound."""

    clip_id: str = Field(description="sha256 of the bytes of `media`")
    prompt: str
    split: PromptSplit = Field(description="suite of the prompt; validation: caption of a validation clip")
    mode: Mode = Field(
        description="given besides text: t2v nothing, i2v the first frame, v2a all pictures, a2v the sound"
    )
    seed: int = Field(description="seed of this clip's noise")
    media: FileRef = Field(description="watermarked, before signing; `provenance.copies` has the signed file")
    first_frame: FileRef | None = Field(default=None, description="PNG that an i2v clip starts from")
    first_frame_rebuilt: FileRef | None = Field(
        default=None, description="that PNG after the video codec: the nearest that a clip can come to it"
    )
    width: int
    height: int
    fps: float
    frames: int
    seconds: float = Field(description="time that the sound covers: from the first frame to the last")
    audio_rate: int
    mark: ClipMark | None = Field(default=None, description="None where the clip carries no watermark")
    manifest: ClipManifest | None = Field(default=None, description="None where the clip is not signed")


class RefusedPrompt(Record):
    """A prompt of which no clip was made: the filter refused it, or an attack is too long for the model."""

    prompt: str
    split: PromptSplit
    category: str
    code: int = Field(description="stable code of the category")
    tier: str = Field(description='"lexicon", "judge" or "model", which refused it')
    reason: str


class ModelFiles(Record):
    """What `veo_core.generate.pipeline.Generator` is built from: safetensors weights, JSON configurations.

    The base model's configuration holds the clip's size, rate and length, and the vocabulary.
    """

    video_vae_weights: FileRef
    video_vae_config: FileRef
    audio_vae_weights: FileRef
    audio_vae_config: FileRef
    base_weights: FileRef
    base_config: FileRef
    upsampler_weights: FileRef
    upsampler_config: FileRef
