"""Which model answers, where, how patiently it is asked, and at what cost at most."""

from typing import Literal, Self

from pydantic import Field

from veo_core.judges.usage import Usage
from veo_core.records.base import Record

_MILLION = 1_000_000


class Budget(Record):
    """What the answers of one stage may cost. None is no limit.

    Answers that the store holds from earlier runs count, too: the limit is on what the stage's result
    cost, however often it was interrupted. Tokens are known only after an answer, so the last answers in
    flight may exceed a limit on them by a few.
    """

    max_requests: int | None = Field(default=None, ge=0, description="answered requests")
    max_tokens: int | None = Field(default=None, ge=0, description="tokens in and out")
    max_cost: float | None = Field(default=None, ge=0, description="in the currency of the prices")
    input_price: float = Field(default=0.0, ge=0, description="price of a million tokens sent")
    output_price: float = Field(default=0.0, ge=0, description="price of a million tokens answered")

    @property
    def limited(self) -> bool:
        return (self.max_requests, self.max_tokens, self.max_cost) != (None, None, None)

    def cost(self, usage: Usage) -> float:
        """The price of what was used."""
        return (usage.input_tokens * self.input_price + usage.output_tokens * self.output_price) / _MILLION

    def part(self, index: int, count: int) -> Self:
        """The share of one of `count` parts of a stage that run at the same time."""
        return self.model_copy(
            update={
                "max_requests": _share(self.max_requests, index, count),
                "max_tokens": _share(self.max_tokens, index, count),
                "max_cost": None if self.max_cost is None else self.max_cost / count,
            }
        )


def _share(limit: int | None, index: int, count: int) -> int | None:
    return None if limit is None else limit // count + (index < limit % count)


class JudgeConfig(Record):
    """The model, its servers, patience and budget."""

    provider: Literal["openai", "gemini"] = Field(
        default="openai", description="protocol: OpenAI's, which vLLM and Ollama speak too, or Gemini's"
    )
    model: str = Field(default="world-detector-1", description="model name as the server knows it")
    revision: str = Field(default="", description="any text; another one asks everything again")
    endpoints: list[str] = Field(
        default_factory=list,
        description="base URLs; empty for OPENAI_BASE_URL or GOOGLE_GEMINI_BASE_URL (comma-separated)",
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="hosts that may be sent footage; empty for those of the endpoints"
    )
    budget: Budget = Field(default_factory=Budget, description="what the answers of a stage may cost")
    max_in_flight: int = Field(default=32, ge=1, description="requests under way at one time")
    max_attempts: int = Field(default=6, ge=1, description="tries of one request on 429, 5xx and timeouts")
    max_parse_attempts: int = Field(default=3, ge=1, description="requests until an answer fits the schema")
    timeout_seconds: float = Field(default=60.0, gt=0, description="time that one try may take")
    max_wait_seconds: float = Field(default=60.0, ge=0, description="longest wait between two tries")
    cool_down_seconds: float = Field(default=15.0, ge=0, description="rest of an ill server among well ones")
    temperature: float | None = Field(
        default=0.0, ge=0, description="of sampling; null for models that let nobody choose"
    )
    max_tokens: int = Field(default=1024, ge=1, description="longest answer, thoughts included")
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="how the server calls that limit [openai]"
    )
    video_fps: float = Field(default=4.0, gt=0, description="pictures a second seen of a video [gemini]")
    max_inline_bytes: int = Field(
        default=14 << 20, ge=0, description="longer videos are uploaded as files [gemini]"
    )
