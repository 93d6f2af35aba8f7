"""The JSON of the API: `{"instances": [...], "parameters": {...}}` to `{"predictions": [...]}`."""

import base64
import binascii
from typing import Any

from pydantic import Field
from pydantic_core import from_json

from veo_core.errors import UsageError
from veo_core.records.base import Record
from veo_core.records.generated import ClipManifest, ClipMark, Mode

MAX_SEED = 2**53 - 1
"""Larger numbers lose digits in browsers and in Vertex's own format, where each number is a double."""


class Base64(Record):
    """Bytes, as TensorFlow Serving, Vertex and KServe write them."""

    b64: str

    @classmethod
    def of(cls, data: bytes) -> "Base64":
        return cls(b64=base64.b64encode(data).decode())

    def decoded(self) -> bytes:
        """The bytes.

        Raises:
            UsageError: the text is no base64.
        """
        try:
            return base64.b64decode(self.b64, validate=True)
        except (binascii.Error, ValueError):
            raise UsageError("not valid base64") from None


class Instance(Record):
    """One clip to make. Give a prompt, an image that the clip starts with, or both."""

    prompt: str = Field(default="", max_length=2000)
    image: Base64 | None = Field(default=None, description="a PNG or JPEG file")
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)


class Parameters(Record):
    """What holds for all clips of a request."""

    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="of the first clip; each further one adds 1")
    steps: int | None = Field(default=None, ge=1)
    guidance: float | None = Field(default=None, ge=0, le=20, allow_inf_nan=False)
    inline: bool = Field(default=False, description="whether the response holds the clips, too")


class PredictRequest(Record):
    """The body of a request."""

    instances: list[Instance] = Field(min_length=1)
    parameters: Parameters = Parameters()


class Prediction(Record):
    """A clip that was made."""

    uri: str = Field(description="where it lies; of a local store, its path on this server")
    sha256: str
    bytes: int
    prompt: str
    mode: Mode
    seed: int
    steps: int
    guidance: float
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    audio_rate: int
    notes: list[str] = Field(description="what the user should know: of the image, of unknown words")
    mark: ClipMark | None = Field(default=None, description="its watermark, where it carries one")
    manifest: ClipManifest | None = Field(default=None, description="its C2PA manifest, where it has one")
    video: Base64 | None = Field(default=None, description="the MP4 file, where `inline` asks for it")

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


def parse(body: bytes) -> PredictRequest:
    """A request's body.

    Raises:
        UsageError: it is no JSON, or not of this form; the message says where.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise UsageError(f"the body is not JSON: {error}") from None
    return PredictRequest.parse(value, where="request")
