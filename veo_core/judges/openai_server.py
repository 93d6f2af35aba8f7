"""A server that speaks OpenAI's chat completions: vLLM, Ollama, OpenAI itself.

https://platform.openai.com/docs/api-reference/chat
"""

import base64
import email.utils
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import openai

from veo_core.errors import UsageError
from veo_core.judges.backend import Reply, Request, TryError, one_line
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeError, JudgeRefusalError, JudgeUnavailableError
from veo_core.judges.usage import Usage

_TRANSIENT = {408, 409, 429}
_FILTERS = {"content_filter", "content_policy_violation"}


class OpenAIServer:
    """A client of the server at `url`. It follows no redirect, so that footage goes nowhere else."""

    def __init__(self, url: str, key: str, config: JudgeConfig) -> None:
        self._config = config
        self._key = key
        self._url = url
        self._client = openai.AsyncOpenAI(
            base_url=url,
            api_key=key,
            max_retries=0,
            timeout=config.timeout_seconds,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )

    async def close(self) -> None:
        await self._client.close()

    def encode(self, request: Request) -> bytes:
        """The body of a request.

        Videos are sent as the `video_url` part of vLLM and its kin:
        https://docs.vllm.ai/en/latest/features/multimodal_inputs.html
        """
        evidence = request.evidence
        content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
        content += [
            {"type": "image_url", "image_url": {"url": _data_url("image/jpeg", image)}}
            for image in evidence.images
        ]
        if evidence.video is not None:
            content.append(
                {"type": "video_url", "video_url": {"url": _data_url("video/mp4", evidence.video)}}
            )
        if evidence.audio is not None:
            sound = {"data": base64.b64encode(evidence.audio).decode(), "format": "wav"}
            content.append({"type": "input_audio", "input_audio": sound})
        schema = {"name": request.name, "schema": request.schema, "strict": True}
        body = {
            "model": self._config.model,
            "messages": [{"role": "user", "content": content}],
            "response_format": {"type": "json_schema", "json_schema": schema},
            self._config.max_tokens_key: self._config.max_tokens,
        }
        if self._config.temperature is not None:
            body["temperature"] = self._config.temperature
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    async def send(self, encoded: bytes) -> Reply:
        try:
            # Plain bytes in and plain JSON out: the typed method would walk through all of it again.
            response = await self._client.post(
                "/chat/completions",
                content=encoded,
                cast_to=object,
                options={"headers": {"Content-Type": "application/json"}},
            )
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except openai.APIConnectionError as error:
            raise TryError(f"{type(error).__name__}: {self._text(error)}", ill=True) from None
        except (openai.APIResponseValidationError, ValueError) as error:
            response = None
            problem = f"the response is no chat completion: {self._text(error)}"
        else:
            problem = "the response holds no message"
        return _reply(response, problem, len(encoded))

    def _status_error(self, error: openai.APIStatusError) -> Exception:
        status, text = error.status_code, self._text(error)
        if status in (401, 403, 404):
            return UsageError(
                f"judge server {self._url} refuses model {self._config.model!r}: {text}; "
                "check OPENAI_API_KEY and judge.model"
            )
        if status in _TRANSIENT or status >= 500:
            wait = retry_after(error.response.headers)
            return TryError(f"{type(error).__name__}: {text}", retry_after=wait, ill=status >= 500)
        if status == 400 and error.code in _FILTERS:
            return JudgeRefusalError(text)
        if 300 <= status < 400:
            return JudgeUnavailableError("the server redirects elsewhere, which is not followed")
        return self._rejected(text)

    def _rejected(self, text: str) -> JudgeError:
        return JudgeUnavailableError(f"the server rejects the request: {text}")

    def _text(self, error: object) -> str:
        return one_line(error, self._key)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait, None where it does not say (RFC 9110, 10.2.3).

    OpenAI's `retry-after-ms` is understood, too.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) * unit
        except ValueError:
            date = email.utils.parsedate_tz(value)
            seconds = email.utils.mktime_tz(date) - time.time() if date else -1.0
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _reply(response: Any, problem: str, sent: int) -> Reply:
    """What a chat completion says, whatever a server may have put there instead."""
    body = response if isinstance(response, dict) else {}
    tokens = _mapping(body.get("usage"))
    usage = Usage(
        requests=1,
        input_tokens=_count(tokens.get("prompt_tokens")),
        output_tokens=_count(tokens.get("completion_tokens")),
        bytes_sent=sent,
    )
    version = str(body.get("model") or "")
    choices = body.get("choices")
    choice = _mapping(choices[0]) if isinstance(choices, list) and choices else {}
    if not isinstance(choice.get("message"), dict):
        return Reply(version=version, usage=usage, problem=problem)
    refusal = choice["message"].get("refusal") or ""
    if not refusal and choice.get("finish_reason") == "content_filter":
        refusal = "the server's content filter stopped the answer"
    text = choice["message"].get("content")
    return Reply(
        text=text if isinstance(text, str) else "",
        version=version,
        usage=usage,
        refusal=str(refusal),
        cut=choice.get("finish_reason") == "length",
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
