"""What the servers of different makers have in common: one request, one reply or one error."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from veo_core.judges.evidence import Evidence
from veo_core.judges.usage import Usage


@dataclass(frozen=True)
class Request:
    """What is asked of any model.

    Attributes:
        prompt: the text.
        evidence: what it is about.
        name: the answer's name.
        schema: JSON schema of the answer, in the strict form of structured outputs.
    """

    prompt: str
    evidence: Evidence
    name: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        text: the answer, JSON if the model kept to the schema.
        version: the model that the server says it ran.
        usage: what the answer took.
        refusal: why the model or a content filter declined, empty where neither did.
        problem: why there is no text, empty where there is.
        cut: whether the text ends where the limit on its length is.
    """

    text: str = ""
    version: str = ""
    usage: Usage = field(default_factory=Usage)
    refusal: str = ""
    problem: str = ""
    cut: bool = False


class Backend(Protocol):
    """A client of one server. It tries once: patience is the caller's.

    `encode` may take long, so callers run it in a thread; what it gives can be sent to any server of the
    same kind, and again.

    `send` raises:
        TryError: another try may help.
        JudgeError: none will.
        UsageError: the server rejects the key, or does not know the model.
    """

    def encode(self, request: Request) -> Any: ...

    async def send(self, encoded: Any) -> Reply: ...

    async def close(self) -> None: ...


class TryError(Exception):
    """A try that got no answer where another may.

    Attributes:
        retry_after: seconds that the server asks to wait, None where it does not say.
        ill: whether the server itself seems to be out of order.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, ill: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.ill = ill


def one_line(error: object, secret: str) -> str:
    """An error's text in one line of bounded length, without the key that it may repeat."""
    text = " ".join(str(error).split())
    return (text.replace(secret, "[key]") if secret else text)[:300]
