"""The OpenAI endpoints of the judge: a request's JSON in, a response's JSON out, without HTTP.

The formats are those of https://platform.openai.com/docs/api-reference (chat, embeddings, models).
"""

import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError, field_validator

from veo_core.world.answers import facts
from veo_core.world.detect_sound import hear
from veo_core.world.embedding import embed
from veo_core.world.evidence import EvidenceError, pictures_of, sound_of
from veo_core.world.filling import SchemaError, fill
from veo_core.world.sighting import SeenPicture
from veo_core.world.stills import see_stills

JUDGE_MODEL = "world-detector-1"
EMBEDDING_MODEL = "world-embedding-1"

_MAX_INPUTS = 2048
_LETTERS_PER_TOKEN = 4
_TOKENS_PER_PICTURE = 85
_TOKENS_PER_SOUND_SECOND = 10

Pictures = npt.NDArray[np.uint8]
ModelT = TypeVar("ModelT", bound=BaseModel)


class ApiError(Exception):
    """A request that is answered with an error body."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        kinds = {404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class _Url(BaseModel):
    url: str


class _ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: _Url


class _InputAudio(BaseModel):
    data: str
    format: Literal["wav"]


class _AudioPart(BaseModel):
    type: Literal["input_audio"]
    input_audio: _InputAudio


_Part = Annotated[_TextPart | _ImagePart | _AudioPart, Field(discriminator="type")]


class _UserMessage(BaseModel):
    role: Literal["user"]
    content: list[_Part]

    @field_validator("content", mode="before")
    @classmethod
    def _one_text(cls, content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content


class _JsonSchema(BaseModel):
    schema_: dict[str, Any] = Field(alias="schema")


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _ChatRequest(BaseModel):
    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    response_format: _ResponseFormat | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: Literal[1] | None = None
    stream: Literal[False] | None = None


class _EmbeddingRequest(BaseModel):
    model: str
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Literal[256] | None = None


@dataclass(frozen=True)
class _Asked:
    """The last user message: its words, the pictures in runs between words, and the sound."""

    words: str
    runs: list[list[str]]
    sound: str | None


def chat_completion(body: Any) -> dict[str, Any]:
    """Answer a chat completion from what the detectors see in the pictures and hear in the sound.

    Equal requests get equal answers, apart from `id` and `created`. Pictures are the frames of one clip in
    time order; where the schema asks for `same_scene`, they are those of two clips: each run of pictures
    between words is a clip, or each half where the runs are not two.

    Raises:
        ApiError: the request is malformed, too large, or for a model that is not here.
    """
    request = _parsed(_ChatRequest, body)
    _check_model(request.model, JUDGE_MODEL)
    asked = _asked(request)
    try:
        sound = None if asked.sound is None else sound_of(asked.sound)
        clips = _clips(asked.runs, compare=_compares(request.response_format))
        pictures = pictures_of([url for clip in clips for url in clip])
        seen = [_seen([pictures.pop(0) for _ in clip], asked.words) for clip in clips]
        heard = None if sound is None else hear(*sound)
        known = facts(asked.words, seen, heard, _seed(asked), pictures=len(clips[0]) if clips else 0)
        content = _content(request.response_format, known)
    except (EvidenceError, SchemaError) as error:
        raise ApiError(400, str(error)) from None
    limit = request.max_completion_tokens or request.max_tokens
    cut = limit is not None and _tokens(content) > limit
    if cut:
        content = content[: _LETTERS_PER_TOKEN * (limit or 0)]
    prompt_tokens = _tokens(asked.words) + sum(map(len, clips)) * _TOKENS_PER_PICTURE
    if sound is not None:
        prompt_tokens += round(sound[0].shape[1] / sound[1] * _TOKENS_PER_SOUND_SECOND)
    message = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": JUDGE_MODEL,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "length" if cut else "stop",
            }
        ],
        "usage": _usage(prompt_tokens, _tokens(content)),
    }


def embeddings(body: Any) -> dict[str, Any]:
    """The embeddings of one text or several.

    Raises:
        ApiError: the request is malformed, holds an empty text, or is for a model that is not here.
    """
    request = _parsed(_EmbeddingRequest, body)
    _check_model(request.model, EMBEDDING_MODEL)
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not 0 < len(texts) <= _MAX_INPUTS or not all(texts):
        raise ApiError(400, f"input: 1 to {_MAX_INPUTS} texts, none of them empty, can be embedded")
    vectors = [embed(text) for text in texts]
    tokens = sum(map(_tokens, texts))
    return {
        "object": "list",
        "model": EMBEDDING_MODEL,
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode()
                if request.encoding_format == "base64"
                else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def models() -> dict[str, Any]:
    """The models that answer here."""
    names = (JUDGE_MODEL, EMBEDDING_MODEL)
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "world"} for name in names],
    }


def _parsed(model: type[ModelT], body: Any) -> ModelT:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ApiError(400, f"{where or 'body'}: {first['msg']}") from None


def _check_model(name: str, known: str) -> None:
    if name != known:
        raise ApiError(404, f"the model {name!r} does not exist here; {known!r} does", code="model_not_found")


def _asked(request: _ChatRequest) -> _Asked:
    last = next((m for m in reversed(request.messages) if m.get("role") == "user"), None)
    if last is None:
        raise ApiError(400, "messages: none has the role 'user'")
    words: list[str] = []
    runs: list[list[str]] = [[]]
    sounds: list[str] = []
    for part in _parsed(_UserMessage, last).content:
        if isinstance(part, _TextPart):
            words.append(part.text)
            runs.append([])
        elif isinstance(part, _ImagePart):
            runs[-1].append(part.image_url.url)
        else:
            sounds.append(part.input_audio.data)
    if len(sounds) > 1:
        raise ApiError(400, f"{len(sounds)} sounds, at most 1 is allowed")
    return _Asked("\n".join(words), [run for run in runs if run], sounds[0] if sounds else None)


def _compares(format_: _ResponseFormat | None) -> bool:
    if format_ is None or format_.json_schema is None:
        return False
    properties = format_.json_schema.schema_.get("properties")
    return isinstance(properties, dict) and "same_scene" in properties


def _clips(runs: list[list[str]], *, compare: bool) -> list[list[str]]:
    everything = [url for run in runs for url in run]
    if not compare or len(everything) < 2:
        return [everything] if everything else []
    if len(runs) == 2:
        return runs
    half = len(everything) // 2
    return [everything[:half], everything[half:]]


def _seen(pictures: list[Pictures], words: str) -> SeenPicture:
    if len({picture.shape for picture in pictures}) != 1:
        raise EvidenceError("the pictures of one clip differ in size")
    return see_stills(np.stack(pictures), words)


def _content(format_: _ResponseFormat | None, known: dict[str, Any]) -> str:
    if format_ is None or format_.type == "text":
        return str(known["description"])
    if format_.type == "json_object":
        return json.dumps(known, ensure_ascii=False)
    if format_.json_schema is None:
        raise ApiError(400, "response_format.json_schema: is missing")
    return json.dumps(fill(format_.json_schema.schema_, known), ensure_ascii=False)


def _seed(asked: _Asked) -> int:
    digest = hashlib.sha256()
    for text in (asked.words, *(url for run in asked.runs for url in run), asked.sound or ""):
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return int.from_bytes(digest.digest()[:8])


def _tokens(text: str) -> int:
    """About as many tokens as a language model would count."""
    return -(-len(text) // _LETTERS_PER_TOKEN)


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
