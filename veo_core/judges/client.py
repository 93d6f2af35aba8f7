"""One question to a vision-language model behind an OpenAI-compatible server, with a typed answer."""

import base64
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletion
from pydantic import Field, ValidationError

from veo_core.errors import UsageError
from veo_core.judges.errors import (
    JudgeError,
    JudgeRefusalError,
    JudgeUnavailableError,
    JudgeUnparsableError,
)
from veo_core.judges.schema import strict_schema
from veo_core.records.base import Record

AnswerT = TypeVar("AnswerT", bound=Record)


class JudgeConfig(Record):
    """Which model answers, and how patiently it is asked."""

    model: str = Field(default="world-detector-1", description="model name as the server knows it")
    max_in_flight: int = Field(default=32, ge=1, description="requests under way at one time")
    max_attempts: int = Field(default=6, ge=1, description="tries of one request on 429, 5xx and timeouts")
    max_parse_attempts: int = Field(default=3, ge=1, description="requests until an answer fits the schema")
    timeout_seconds: float = Field(default=60.0, gt=0, description="time that one try may take")
    temperature: float = Field(default=0.0, ge=0, description="sampling temperature")
    max_tokens: int = Field(default=512, ge=1, description="longest answer")


@dataclass(frozen=True)
class Answered(Generic[AnswerT]):
    """An answer, and the version of the model that the server says gave it."""

    answer: AnswerT
    version: str


class Judge:
    """A client of the server at `OPENAI_BASE_URL`, with the key in `OPENAI_API_KEY`.

    Retries with exponential backoff and `Retry-After` are those of the official client.

    Raises:
        UsageError: neither variable is set, or a server that is not on this machine has no key.
    """

    def __init__(self, config: JudgeConfig) -> None:
        self.config = config
        self._client = openai.AsyncOpenAI(
            api_key=_api_key(), max_retries=config.max_attempts - 1, timeout=config.timeout_seconds
        )

    async def close(self) -> None:
        await self._client.close()

    async def ask(
        self,
        prompt: str,
        *,
        answer: type[AnswerT],
        images: Sequence[bytes] = (),
        audio: bytes | None = None,
    ) -> Answered[AnswerT]:
        """Ask about JPEG pictures in time order and a WAV sound.

        Raises:
            JudgeError: refused, unparsable or unavailable after every attempt.
            UsageError: the server rejects the key, or does not know the model.
        """
        request = _request(self.config, prompt, answer, images, audio)
        problem = ""
        for _ in range(self.config.max_parse_attempts):
            try:
                # The body is plain JSON already: the typed method would walk through all of it again.
                completion = await self._client.post(
                    "/chat/completions", body=request, cast_to=ChatCompletion
                )
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise UsageError(
                    f"judge server {self._client.base_url} refuses model {self.config.model!r}: "
                    f"{_one_line(error)}; check OPENAI_API_KEY and judge.model"
                ) from None
            except openai.BadRequestError as error:
                raise _bad_request(error) from None
            except (openai.APIConnectionError, openai.APIStatusError) as error:
                raise JudgeUnavailableError(f"{type(error).__name__}: {_one_line(error)}") from None
            except (openai.APIResponseValidationError, ValueError) as error:
                problem = f"the response is no chat completion: {_one_line(error)}"
                continue
            try:
                return Answered(_read(completion, answer), str(completion.model))
            except JudgeUnparsableError as error:
                problem = str(error)
        raise JudgeUnparsableError(problem)


def _api_key() -> str:
    key, url = os.environ.get("OPENAI_API_KEY"), os.environ.get("OPENAI_BASE_URL")
    if key:
        return key
    if not url:
        raise UsageError(
            "no judge server: set OPENAI_BASE_URL (such as http://127.0.0.1:8000/v1 of `veo world serve`, "
            "vLLM or Ollama), or OPENAI_API_KEY for api.openai.com"
        )
    if not _is_loopback(urlsplit(url).hostname or ""):
        raise UsageError(f"the judge server {url} is not on this machine: set OPENAI_API_KEY")
    return "none-needed-on-loopback"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _request(
    config: JudgeConfig, prompt: str, answer: type[Record], images: Sequence[bytes], audio: bytes | None
) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
    for image in images:
        url = f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"
        content.append({"type": "image_url", "image_url": {"url": url}})
    if audio is not None:
        sound = {"data": base64.b64encode(audio).decode(), "format": "wav"}
        content.append({"type": "input_audio", "input_audio": sound})
    schema = {"name": answer.__name__, "schema": strict_schema(answer), "strict": True}
    return {
        "model": config.model,
        "messages": [{"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
    }


def _read(completion: Any, answer: type[AnswerT]) -> AnswerT:
    """The typed answer of a chat completion, whatever a server may have put there instead."""
    choices = getattr(completion, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise JudgeUnparsableError("the response holds no message")
    choice = choices[0]
    if choice.message.refusal:
        raise JudgeRefusalError(choice.message.refusal)
    if choice.finish_reason == "content_filter":
        raise JudgeRefusalError("the server's content filter stopped the answer")
    try:
        return answer.model_validate_json(choice.message.content or "")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise JudgeUnparsableError(f"{where}: {first['msg']}") from None


def _bad_request(error: openai.BadRequestError) -> JudgeError:
    if error.code in ("content_filter", "content_policy_violation"):
        return JudgeRefusalError(_one_line(error))
    return JudgeUnavailableError(f"the server rejects the request: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
