"""What became of questions, held in few bytes each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic

from veo_core.judges.client import Answered, AnswerT
from veo_core.judges.errors import (
    JudgeBudgetError,
    JudgeError,
    JudgeEvidenceError,
    JudgeRefusalError,
    JudgeUnavailableError,
    JudgeUnparsableError,
)
from veo_core.judges.usage import Usage
from veo_core.records.base import canonical_json

_ERRORS = {
    error.rule: error
    for error in (
        JudgeRefusalError,
        JudgeUnparsableError,
        JudgeUnavailableError,
        JudgeEvidenceError,
        JudgeBudgetError,
    )
}


@dataclass(frozen=True)
class Outcome(Generic[AnswerT]):
    """What became of a question: an answer with the model's version, or an error."""

    answered: Answered[AnswerT] | None
    error: JudgeError | None = None

    @property
    def answer(self) -> AnswerT | None:
        return None if self.answered is None else self.answered.answer

    def to_bytes(self, content: Sequence[str] = ()) -> bytes:
        """Canonical JSON; `from_bytes` reads it.

        Args:
            content: digests of what was asked about, so that `veo forget` finds answers about a clip.
        """
        if self.answered is not None:
            value: dict[str, Any] = {
                "answer": self.answered.answer.model_dump(mode="json"),
                "version": self.answered.version,
            }
            source: Answered[AnswerT] | JudgeError = self.answered
        else:
            assert self.error is not None
            value = {"error": self.error.rule, "message": str(self.error)}
            source = self.error
        value |= {"usage": _counts(source.usage), "spent": _counts(source.spent)}
        return canonical_json(value | ({"content": list(content)} if content else {}))

    @classmethod
    def from_bytes(cls, data: bytes, answer: type[AnswerT]) -> "Outcome[AnswerT]":
        value = json.loads(data)
        usage, spent = Usage(**value["usage"]), Usage(**value["spent"])
        if "error" in value:
            return cls(None, _ERRORS[value["error"]](value["message"], usage, spent))
        return cls(Answered(answer.model_validate(value["answer"]), value["version"], usage, spent))

    def after(self, earlier: Usage) -> "Outcome[AnswerT]":
        """This outcome, where tries that cost `earlier` came before."""
        if self.answered is not None:
            return Outcome(replace(self.answered, spent=earlier + self.answered.spent))
        error = _error(self)
        return Outcome(None, type(error)(str(error), error.usage, earlier + error.spent))

    @property
    def settled(self) -> bool:
        """Whether it is final: an answer or a refusal, which no later run asks for again."""
        return self.error is None or isinstance(self.error, JudgeRefusalError)

    @property
    def spent(self) -> Usage:
        """What all tries took together."""
        return self.answered.spent if self.answered is not None else _error(self).spent

    @property
    def usage(self) -> Usage:
        """What the answer took."""
        return self.answered.usage if self.answered is not None else _error(self).usage


def _error(outcome: Outcome[Any]) -> JudgeError:
    assert outcome.error is not None
    return outcome.error


def _counts(usage: Usage) -> dict[str, int]:
    return usage.model_dump(exclude_defaults=True)


class Answers(Generic[AnswerT]):
    """The outcomes of questions by the id of what was asked about. Equal questions share one.

    Args:
        answer: the type of the answers.
    """

    def __init__(self, answer: type[AnswerT]) -> None:
        self._answer = answer
        self._keys: dict[str, bytes] = {}
        self._outcomes: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """How many things were asked about."""
        return len(self._keys)

    def __contains__(self, item: str) -> bool:
        return item in self._keys

    def __getitem__(self, item: str) -> Outcome[AnswerT]:
        """The outcome of the question about `item`.

        Raises:
            KeyError: nothing was asked about it.
        """
        return Outcome.from_bytes(self._outcomes[self._keys[item]], self._answer)

    def expect(self, item: str, key: str) -> bool:
        """Note that a question with the digest `key` was asked about `item`; False where it was before."""
        digest = bytes.fromhex(key)
        known = digest in self._outcomes
        self._outcomes.setdefault(digest, b"")
        self._keys[item] = digest
        return not known

    def has(self, key: str) -> bool:
        """Whether the question with the digest `key` has an outcome."""
        return bool(self._outcomes[bytes.fromhex(key)])

    def put(self, key: str, outcome: Outcome[AnswerT]) -> None:
        self._outcomes[bytes.fromhex(key)] = outcome.to_bytes()

    def fill(self, outcome: Outcome[AnswerT]) -> int:
        """Give `outcome` to each different question that has none, and say how many these are."""
        missing = [key for key, data in self._outcomes.items() if not data]
        data = outcome.to_bytes()
        self._outcomes.update(dict.fromkeys(missing, data))
        return len(missing)

    @property
    def unique(self) -> int:
        """How many different questions there are."""
        return len(self._outcomes)

    def outcomes(self) -> Iterator[Outcome[AnswerT]]:
        """The outcome of each different question."""
        for data in self._outcomes.values():
            yield Outcome.from_bytes(data, self._answer)

    @property
    def usage(self) -> Usage:
        """What the answers took, without tries that came to nothing: equal answers, equal figures."""
        total = Usage()
        for outcome in self.outcomes():
            if outcome.settled:
                total = total + outcome.usage
        return total
