"""Generated clips, with the files of the model that makes them."""

from typing import Literal

from pydantic import Field

from veo_core.records.base import Record
from veo_core.records.files import FileRef

PromptSplit = Literal["seen", "held_out", "two_objects", "validation", "custom", "unspecified", "red_team"]
Mode = Literal["t2v", "i2v", "v2a", "a2v"]


class GeneratedClip(Record):
    """One generated MP4 file with sound."""

    clip_id: str = Field(description="sha256 of the file's bytes")
    prompt: str
    split: PromptSplit = Field(description="suite of the prompt; validation: caption of a validation clip")
    mode: Mode = Field(
        description="given besides text: t2v nothing, i2v the first frame, v2a all pictures, a2v the sound"
    )
    seed: int = Field(description="seed of this clip's noise")
    media: FileRef
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


class RefusedPrompt(Record):
    """A prompt of which no clip was made, because the filter refuses it."""

    prompt: str
    split: PromptSplit
    category: str
    code: int = Field(description="stable code of the category")
    tier: str = Field(description='"lexicon" or "judge", which refused it')
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
