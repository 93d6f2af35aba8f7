"""One question to a vision-language model, with a typed answer: patience, and a choice of servers."""

import asyncio
import math
import random
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from veo_core.judges.backend import Backend, Reply, Request, TryError
from veo_core.judges.config import JudgeConfig as JudgeConfig
from veo_core.judges.endpoints import Address, Endpoint, Pool, addresses
from veo_core.judges.errors import (
    JudgeError,
    JudgeRefusalError,
    JudgeUnavailableError,
    JudgeUnparsableError,
)
from veo_core.judges.evidence import Evidence
from veo_core.judges.schema import strict_schema
from veo_core.judges.spending import Spending
from veo_core.judges.usage import Usage
from veo_core.records.base import Record

AnswerT = TypeVar("AnswerT", bound=Record)

_FIRST_WAIT = 0.5  # seconds


@dataclass(frozen=True)
class Answered(Generic[AnswerT]):
    """An answer, and the version of the model that the server says gave it.

    Attributes:
        usage: what the answer took.
        spent: what all tries took together, unparsable answers among them.
    """

    answer: AnswerT
    version: str
    usage: Usage = Usage()  # noqa: RUF009 (immutable)
    spent: Usage = Usage()  # noqa: RUF009


class Judge:
    """A client of the servers that the configuration or the environment names.

    A try that gets no answer is followed by others, up to `max_attempts`: at another server at once, at
    the same one after what `Retry-After` asks for, else after a wait that doubles and is spread at random.

    Raises:
        UsageError: see `addresses`.
    """

    def __init__(self, config: JudgeConfig, spending: Spending | None = None) -> None:
        self.config = config
        self._spending = spending or Spending(config.budget)
        self._pool = Pool(
            [Endpoint(address.name, _backend(address, config)) for address in addresses(config)],
            config.cool_down_seconds,
        )

    async def close(self) -> None:
        for endpoint in self._pool.endpoints:
            await endpoint.backend.close()

    @property
    def served(self) -> dict[str, int]:
        """How many answers each server gave."""
        return self._pool.served

    def encode(self, prompt: str, evidence: Evidence, *, answer: type[Record]) -> Any:
        """A request about evidence, ready to be sent. Takes a while, so batches call it in a thread."""
        request = Request(prompt, evidence, answer.__name__, strict_schema(answer))
        return self._pool.endpoints[0].backend.encode(request)

    async def ask(self, encoded: Any, *, answer: type[AnswerT]) -> Answered[AnswerT]:
        """Send an encoded request until there is an answer.

        Raises:
            JudgeError: refused, unparsable, or unavailable after every attempt; or the budget is spent.
            UsageError: a server rejects the key, or does not know the model.
        """
        spent = Usage()
        problem = ""
        for _ in range(self.config.max_parse_attempts):
            try:
                with self._spending.request():
                    reply = await self._reply(encoded)
                    self._spending.add(reply.usage)
            except JudgeError as error:
                error.spent = spent + error.spent
                raise
            spent = spent + reply.usage
            if reply.refusal:
                raise JudgeRefusalError(reply.refusal, reply.usage, spent)
            try:
                return Answered(_read(reply, answer), reply.version, reply.usage, spent)
            except ValueError as error:
                problem = str(error)
        raise JudgeUnparsableError(problem, reply.usage, spent)

    async def _reply(self, encoded: Any) -> Reply:
        """The reply to one request, after as many tries as it takes.

        Raises:
            JudgeUnavailableError: no try got one, or the servers ask to wait too long.
        """
        clock = asyncio.get_running_loop().time
        barred: dict[Endpoint, float] = {}
        problem = ""
        for attempt in range(self.config.max_attempts):
            endpoint = await self._endpoint(barred)
            if endpoint is None:
                break
            try:
                with endpoint.use():
                    async with asyncio.timeout(self.config.timeout_seconds):
                        reply = await endpoint.backend.send(encoded)
            except TimeoutError:
                error = TryError(f"no answer within {self.config.timeout_seconds:g} s", ill=True)
            except TryError as caught:
                error = caught
            else:
                self._pool.succeeded(endpoint)
                return reply
            problem = str(error)
            self._pool.failed(endpoint, error, clock())
            if (error.retry_after or 0.0) > self.config.max_wait_seconds:
                problem += f" (asks to wait {error.retry_after:.0f} s, more than judge.max_wait_seconds)"
                barred[endpoint] = math.inf
            else:
                barred[endpoint] = clock() + self._wait(attempt, error)
        raise JudgeUnavailableError(problem)

    async def _endpoint(self, barred: dict[Endpoint, float]) -> Endpoint | None:
        """The server to ask next, as soon as there is one; None where there will be none."""
        while True:
            endpoint, wait = self._pool.pick(barred, asyncio.get_running_loop().time())
            if endpoint is not None or math.isinf(wait):
                return endpoint
            await asyncio.sleep(wait)

    def _wait(self, attempt: int, error: TryError) -> float:
        """Seconds until the same server may be tried again."""
        if error.retry_after is not None:
            # Those who were told the same must not come back in the same moment.
            return error.retry_after + random.uniform(0.0, min(0.25 * error.retry_after, 1.0))
        longest = min(_FIRST_WAIT * 2.0**attempt, self.config.max_wait_seconds)
        return random.uniform(0.5, 1.0) * longest


def _backend(address: Address, config: JudgeConfig) -> Backend:
    # Each imports a large client library that the other one's users may lack.
    if config.provider == "gemini":
        from veo_core.judges.gemini import GeminiServer

        return GeminiServer(address.url, address.key, config)
    from veo_core.judges.openai_server import OpenAIServer

    return OpenAIServer(address.url, address.key, config)


def _read(reply: Reply, answer: type[AnswerT]) -> AnswerT:
    """The typed answer.

    Raises:
        ValueError: the reply does not hold one.
    """
    if reply.problem:
        raise ValueError(reply.problem)
    try:
        return answer.model_validate_json(reply.text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        cut = "; the answer is cut off at judge.max_tokens" if reply.cut else ""
        raise ValueError(f"{where}: {first['msg']}{cut}") from None
