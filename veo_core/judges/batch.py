"""Many questions to a judge: dozens in flight, each answer kept the moment it comes."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from veo_core.errors import UsageError
from veo_core.judges.client import Answered, AnswerT, Judge, JudgeConfig
from veo_core.judges.errors import JudgeError, JudgeRefusalError, JudgeUnavailableError
from veo_core.judges.schema import strict_schema
from veo_core.progress import track
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.storage import Store


@dataclass(frozen=True)
class Evidence:
    """What a judge looks at: JPEG pictures in time order, and a WAV sound."""

    images: tuple[bytes, ...] = ()
    audio: bytes | None = None


@dataclass(frozen=True)
class Question:
    """A prompt about evidence.

    Attributes:
        prompt: the text.
        content: digests that name the evidence, so that an answer is found again without loading it.
        load: reads the evidence; called only where the question must be asked.
    """

    prompt: str
    content: tuple[str, ...]
    load: Callable[[], Evidence]


@dataclass(frozen=True)
class Outcome(Generic[AnswerT]):
    """What became of a question: an answer with the model's version, or an error."""

    answered: Answered[AnswerT] | None
    error: JudgeError | None = None


def run_all(
    questions: Sequence[Question],
    *,
    answer: type[AnswerT],
    config: JudgeConfig,
    store: Store,
    label: str,
    max_failed_share: float = 1.0,
) -> list[Outcome[AnswerT]]:
    """Ask every question and return the outcomes in the questions' order.

    Answers and refusals are marks in the store, named by the evidence, the prompt, the schema and the
    model: a run that is killed repeats no finished request, and equal questions are asked once. Other
    errors are not kept, so that a later run asks again.

    Raises:
        UsageError: no server is set; or the server is so ill that more than `max_failed_share` of the
            questions cannot be answered, or that none of the first ones was.
    """
    return asyncio.run(_Batch(answer, config, store, label, max_failed_share).run(questions))


def question_key(question: Question, answer: type[Record], config: JudgeConfig) -> str:
    """The digest that names a question's answer in the store."""
    identity = {
        "prompt": question.prompt,
        "content": list(question.content),
        "schema": strict_schema(answer),
        "model": config.model,
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
    }
    return sha256_bytes(canonical_json(identity))


class _Batch(Generic[AnswerT]):
    def __init__(
        self,
        answer: type[AnswerT],
        config: JudgeConfig,
        store: Store,
        label: str,
        max_failed_share: float,
    ) -> None:
        self._answer = answer
        self._config = config
        self._store = store
        self._label = label
        self._max_failed_share = max_failed_share
        self._finished = self._unavailable = self._unanswered = 0

    async def run(self, questions: Sequence[Question]) -> list[Outcome[AnswerT]]:
        keys = [question_key(question, self._answer, self._config) for question in questions]
        unique = dict(zip(keys, questions, strict=True))
        outcomes: dict[str, Outcome[AnswerT]] = {}
        pending = iter(unique.items())
        progress = track(range(len(unique)), total=len(unique), label=self._label, unit="requests")
        next(progress, None)
        judge = Judge(self._config)

        async def work() -> None:
            for key, question in pending:
                outcomes[key] = await self._settle(judge, key, question)
                next(progress, None)
                self._check_health(len(unique), outcomes[key].error)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._config.max_in_flight, len(unique))):
                    group.create_task(work())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await judge.close()
        return [outcomes[key] for key in keys]

    async def _settle(self, judge: Judge, key: str, question: Question) -> Outcome[AnswerT]:
        """The outcome of one question, from the store or from the server."""
        mark = f"judge/{key[:2]}/{key}"
        stored = await asyncio.to_thread(self._store.get_mark, mark)
        if stored is not None:
            return _from_mark(stored, self._answer)
        evidence = await asyncio.to_thread(question.load)
        try:
            answered = await judge.ask(
                question.prompt, answer=self._answer, images=evidence.images, audio=evidence.audio
            )
        except JudgeRefusalError as error:
            await asyncio.to_thread(self._store.set_mark, mark, canonical_json({"refusal": str(error)}))
            return Outcome(None, error)
        except JudgeError as error:
            return Outcome(None, error)
        value = {"answer": answered.answer.model_dump(mode="json"), "version": answered.version}
        await asyncio.to_thread(self._store.set_mark, mark, canonical_json(value))
        return Outcome(answered)

    def _check_health(self, total: int, error: JudgeError | None) -> None:
        """Stop as soon as the end is certain instead of trying each of thousands of items in vain."""
        self._finished += 1
        self._unavailable += isinstance(error, JudgeUnavailableError)
        self._unanswered += error is not None and not isinstance(error, JudgeRefusalError)
        hopeless = self._unanswered == self._finished >= min(self._config.max_in_flight, total)
        if hopeless or self._unavailable > self._max_failed_share * total:
            raise UsageError(
                f"{self._label}: {self._unanswered} of the first {self._finished} requests got no answer "
                f"(max_failed_share is {self._max_failed_share:g} of {total}): {error}; "
                "check the judge server, then run again: finished answers are kept"
            )


def _from_mark(data: bytes, answer: type[AnswerT]) -> Outcome[AnswerT]:
    value = json.loads(data)
    if "refusal" in value:
        return Outcome(None, JudgeRefusalError(value["refusal"]))
    return Outcome(Answered(answer.model_validate(value["answer"]), value["version"]))
