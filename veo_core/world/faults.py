"""Faults that a judge server commits on request, so that its clients' patience can be tested."""

import hashlib
import struct
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from veo_core.records.base import Record

Fault = Literal["too_many", "error", "malformed", "refusal"]

FAULTS: tuple[Fault, ...] = get_args(Fault)


class FaultRates(Record):
    """Shares of requests that go wrong. One request has one fault at most, besides being slow."""

    too_many: float = Field(default=0.0, ge=0, le=1, description="answered with 429 and Retry-After")
    error: float = Field(default=0.0, ge=0, le=1, description="answered with 500")
    malformed: float = Field(default=0.0, ge=0, le=1, description="answered with text that fits no schema")
    refusal: float = Field(default=0.0, ge=0, le=1, description="refused by the model")
    slow: float = Field(default=0.0, ge=0, le=1, description="answered late")
    slow_seconds: float = Field(default=2.0, ge=0, le=3600, description="how late")
    retry_after: float = Field(default=1.0, ge=0, le=3600, description="seconds that a 429 asks to wait")
    seed: int = Field(default=0, description="another seed, other requests that go wrong")

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        if sum(getattr(self, fault) for fault in FAULTS) > 1:
            raise ValueError(f"the rates of {', '.join(FAULTS)} add up to more than 1")
        return self

    def draw(self, request: str, attempt: int) -> "Misfortune":
        """What befalls the `attempt`-th sending of a request.

        It depends on nothing else, so that it is the same in whatever order requests arrive.

        Args:
            request: what names the request, such as the digest of its body.
            attempt: how often the same request came before.
        """
        digest = hashlib.sha256(f"{self.seed}/{request}/{attempt}".encode()).digest()
        first, second = (value / 2**64 for value in struct.unpack_from(">QQ", digest))
        delay = self.slow_seconds if second < self.slow else 0.0
        for fault in FAULTS:
            first -= getattr(self, fault)
            if first < 0:
                return Misfortune(fault, delay, digest[-1])
        return Misfortune(None, delay, digest[-1])


@dataclass(frozen=True)
class Misfortune:
    """What goes wrong with one request.

    Attributes:
        fault: what is wrong with its answer, None where nothing is.
        delay: seconds to wait before the answer.
        kind: chooses among the ways in which an answer can be malformed.
    """

    fault: Fault | None
    delay: float
    kind: int

    def spoil(self, response: dict[str, Any]) -> dict[str, Any]:
        """The response with the fault "malformed" or "refusal"; itself with none."""
        if self.fault is None:
            return response
        if "choices" not in response:
            return response | {"data": []}
        choice = response["choices"][0]
        content = choice["message"]["content"]
        if self.fault == "refusal":
            changed = {"content": None, "refusal": "I'm sorry, I can't help with that."}
        else:
            ways = (content[: len(content) // 2], f"Here you are: {content}", "{}", "")
            changed = {"content": ways[self.kind % len(ways)]}
        return response | {"choices": [choice | {"message": choice["message"] | changed}]}
