"""Google's Gemini, through google-genai: pictures, sound and video inline, longer videos as files.

https://ai.google.dev/api/generate-content and https://ai.google.dev/api/files
"""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from veo_core.errors import UsageError
from veo_core.judges.backend import Reply, Request, TryError, one_line
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeUnavailableError
from veo_core.judges.openai_server import retry_after
from veo_core.judges.usage import Usage

_REFUSALS = {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "IMAGE_SAFETY"}
_TRANSIENT = {408, 409, 429}
_API = "v1beta"  # the version that knows JSON schemas, pictures a second and files
_POLL_SECONDS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class _Encoded:
    parts: tuple[types.Part, ...]
    video: bytes | None
    config: types.GenerateContentConfig
    size: int


class GeminiServer:
    """A client of the server at `url`. It follows no redirect, so that footage goes nowhere else."""

    def __init__(self, url: str, key: str, config: JudgeConfig) -> None:
        self._config = config
        self._key = key
        self._url = url
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=config.max_in_flight)
        self._http = httpx.AsyncClient(follow_redirects=False, timeout=config.timeout_seconds, limits=limits)
        self._client = genai.Client(
            api_key=key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=url,
                api_version=_API,
                httpx_async_client=self._http,
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    async def close(self) -> None:
        await self._http.aclose()
        self._client.close()

    def encode(self, request: Request) -> _Encoded:
        evidence, config = request.evidence, self._config
        parts = [types.Part.from_text(text=request.prompt)]
        parts += [types.Part.from_bytes(data=image, mime_type="image/jpeg") for image in evidence.images]
        if evidence.audio is not None:
            parts.append(types.Part.from_bytes(data=evidence.audio, mime_type="audio/wav"))
        video = evidence.video
        if video is not None and len(video) <= config.max_inline_bytes:
            parts.append(self._video(types.Part.from_bytes(data=video, mime_type="video/mp4")))
            video = None
        data = [*evidence.images, evidence.audio or b"", evidence.video or b""]
        return _Encoded(
            parts=tuple(parts),
            video=video,
            config=types.GenerateContentConfig(
                temperature=config.temperature,
                max_output_tokens=config.max_tokens,
                response_mime_type="application/json",
                response_json_schema=request.schema,
            ),
            size=len(request.prompt.encode()) + sum(map(len, data)),
        )

    async def send(self, encoded: _Encoded) -> Reply:
        try:
            async with self._uploaded(encoded.video) as files:
                response = await self._client.aio.models.generate_content(
                    model=self._config.model,
                    contents=types.UserContent(parts=[*encoded.parts, *files]),
                    config=encoded.config,
                )
        except errors.APIError as error:
            raise self._status_error(error) from None
        except httpx.HTTPError as error:
            text = one_line(error, self._key)
            raise TryError(f"{type(error).__name__}: {text}", ill=True) from None
        except (ValueError, KeyError) as error:
            problem = f"the response is no answer of Gemini's: {one_line(error, self._key)}"
            return Reply(usage=Usage(requests=1, bytes_sent=encoded.size), problem=problem)
        return _reply(response, encoded.size)

    @contextlib.asynccontextmanager
    async def _uploaded(self, video: bytes | None) -> AsyncIterator[list[types.Part]]:
        """A video as a file of the server's, which is deleted at the end."""
        if video is None:
            yield []
            return
        files = self._client.aio.files
        # The upload's URL comes from the server: with `base_url` the client keeps to the server's own host.
        options = types.HttpOptions(base_url=self._url)
        upload = types.UploadFileConfig(mime_type="video/mp4", http_options=options)
        file = await files.upload(file=io.BytesIO(video), config=upload)
        name = file.name or ""
        try:
            waits = iter(_POLL_SECONDS)
            while file.state == types.FileState.PROCESSING:
                await asyncio.sleep(next(waits, _POLL_SECONDS[-1]))
                file = await files.get(name=name)
            if file.state == types.FileState.FAILED:
                raise JudgeUnavailableError("the server cannot read the video")
            part = types.Part.from_uri(file_uri=file.uri or "", mime_type="video/mp4")
            yield [self._video(part)]
        finally:
            # Files that stay are deleted by the server after two days.
            with contextlib.suppress(errors.APIError, httpx.HTTPError):
                await files.delete(name=name)

    def _video(self, part: types.Part) -> types.Part:
        return part.model_copy(update={"video_metadata": types.VideoMetadata(fps=self._config.video_fps)})

    def _status_error(self, error: errors.APIError) -> Exception:
        text = one_line(f"{error.code} {error.status}: {error.message}", self._key)
        if error.code in (401, 403, 404) or "API_KEY_INVALID" in str(error.details):
            return UsageError(
                f"judge server {self._url} refuses model {self._config.model!r}: {text}; "
                "check GOOGLE_API_KEY or GEMINI_API_KEY, and judge.model"
            )
        if error.code in _TRANSIENT or error.code >= 500:
            return TryError(text, retry_after=_asked_wait(error), ill=error.code >= 500)
        if 300 <= error.code < 400:
            return JudgeUnavailableError("the server redirects elsewhere, which is not followed")
        return JudgeUnavailableError(f"the server rejects the request: {text}")


def _reply(response: types.GenerateContentResponse, sent: int) -> Reply:
    tokens = response.usage_metadata or types.GenerateContentResponseUsageMetadata()
    usage = Usage(
        requests=1,
        input_tokens=tokens.prompt_token_count or 0,
        output_tokens=(tokens.candidates_token_count or 0) + (tokens.thoughts_token_count or 0),
        bytes_sent=sent,
    )
    version = response.model_version or ""
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        return Reply(version=version, usage=usage, refusal=f"blocked: {feedback.block_reason.value}")
    candidate = response.candidates[0] if response.candidates else None
    if candidate is None:
        return Reply(version=version, usage=usage, problem="the response holds no answer")
    reason = candidate.finish_reason.value if candidate.finish_reason else ""
    if reason in _REFUSALS:
        return Reply(version=version, usage=usage, refusal=f"stopped: {reason}")
    parts = (candidate.content.parts if candidate.content else None) or []
    text = "".join(part.text or "" for part in parts if not part.thought)
    return Reply(text=text, version=version, usage=usage, cut=reason == "MAX_TOKENS")


def _asked_wait(error: errors.APIError) -> float | None:
    """Seconds that a server asks to wait: in a header, or in google.rpc.RetryInfo."""
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    seconds = retry_after(headers)
    if seconds is not None:
        return seconds
    for delay in _retry_delays(error.details):
        with contextlib.suppress(ValueError):
            return max(0.0, float(delay.removesuffix("s")))
    return None


def _retry_delays(details: Any) -> list[str]:
    body = json.loads(details) if isinstance(details, str) else details
    inner = body.get("error", body) if isinstance(body, dict) else {}
    entries = inner.get("details") if isinstance(inner, dict) else None
    found = [entry.get("retryDelay") for entry in entries or [] if isinstance(entry, dict)]
    return [delay for delay in found if isinstance(delay, str)]
