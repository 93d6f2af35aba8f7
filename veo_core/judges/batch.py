"""Many questions to a judge: dozens in flight, each answer kept the moment it comes."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, Generic

from veo_core.errors import ItemError, UsageError
from veo_core.judges.answers import Answers
from veo_core.judges.answers import Outcome as Outcome
from veo_core.judges.client import AnswerT, Judge
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import (
    JudgeBudgetError,
    JudgeError,
    JudgeEvidenceError,
    JudgeRefusalError,
    JudgeUnavailableError,
    JudgeUnparsableError,
)
from veo_core.judges.evidence import Evidence as Evidence
from veo_core.judges.evidence import Question
from veo_core.judges.schema import strict_schema
from veo_core.judges.spending import Spending
from veo_core.judges.usage import Usage
from veo_core.progress import track
from veo_core.records.base import Record, canonical_json, sha256_bytes
from veo_core.storage import Store

_LOOKED_UP = 256
_FIRST = 8  # questions without an answer that tell of an ill server

Asked = tuple[str, Question]


def run_all(
    questions: Sequence[Question],
    *,
    answer: type[AnswerT],
    config: JudgeConfig,
    store: Store,
    label: str,
    max_failed_share: float = 1.0,
    stop_on_budget: bool = True,
) -> list[Outcome[AnswerT]]:
    """Ask every question and return the outcomes in the questions' order. See `ask_all`."""
    answers = ask_all(
        lambda: ((str(index), question) for index, question in enumerate(questions)),
        answer=answer,
        config=config,
        store=store,
        label=label,
        max_failed_share=max_failed_share,
        stop_on_budget=stop_on_budget,
    )
    return [answers[str(index)] for index in range(len(questions))]


def ask_all(
    questions: Callable[[], Iterable[Asked]],
    *,
    answer: type[AnswerT],
    config: JudgeConfig,
    store: Store,
    label: str,
    max_failed_share: float = 1.0,
    stop_on_budget: bool = True,
    mine: Callable[[str], bool] | None = None,
) -> Answers[AnswerT]:
    """Ask every question and return the outcomes by id.

    Answers and refusals are marks in the store, named by the evidence, the prompt, the schema, the model
    and its revision: a run that is killed repeats no finished request, and equal questions are asked once.
    Of other errors only what they cost is kept, so that a later run asks again.

    Args:
        questions: gives pairs of an id and a question; called twice, and must give the same both times.
        answer: the type of the answers.
        config: the judge.
        store: where answers are kept.
        label: what progress and errors call this.
        max_failed_share: share of the questions that may stay unanswered, refusals aside.
        stop_on_budget: end with an error where the budget is spent; else such questions' outcomes hold
            a `JudgeBudgetError`.
        mine: says by a question's digest whether it is asked at all.

    Raises:
        UsageError: no server is set; the budget is spent; or the server is so ill that more than
            `max_failed_share` of the questions cannot be answered, or that none of the first ones was.
    """
    batch = _Batch(answer, config, store, label, max_failed_share, stop_on_budget)
    batch.look_up(questions(), mine)
    if batch.pending:
        asyncio.run(batch.ask(questions()))
    return batch.answers


def question_key(question: Question, answer: type[Record], config: JudgeConfig) -> str:
    """The digest that names a question's answer in the store. Where it is asked does not matter."""
    identity = {
        "prompt": question.prompt,
        "content": list(question.content),
        "schema": strict_schema(answer),
        "model": config.model,
        "revision": config.revision,
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
        stop_on_budget: bool,
    ) -> None:
        self.answers = Answers(answer)
        self.pending = 0
        self._answer = answer
        self._config = config
        self._store = store
        self._label = label
        self._max_failed_share = max_failed_share
        self._stop_on_budget = stop_on_budget
        self._spending = Spending(config.budget)
        self._errors: Counter[type[JudgeError]] = Counter()
        self._finished = 0
        self._limit = ""

    def look_up(self, asked: Iterable[Asked], mine: Callable[[str], bool] | None) -> None:
        """Find what earlier runs left, so that all that they spent is known before anything is asked."""
        keyed = ((item, self._key(question), question) for item, question in asked)
        own = (entry for entry in keyed if mine is None or mine(entry[1]))
        with ThreadPoolExecutor(self._config.max_in_flight) as threads:
            while chunk := list(islice(own, _LOOKED_UP)):
                new = {key: question for item, key, question in chunk if self.answers.expect(item, key)}
                for key, (outcome, spent) in zip(new, threads.map(self._kept, new.values()), strict=True):
                    self._spending.add(spent)
                    if outcome is None:
                        self.pending += 1
                    else:
                        self._finished += 1
                        self.answers.put(key, outcome)

    def _kept(self, question: Question) -> tuple[Outcome[AnswerT] | None, Usage]:
        """What earlier runs settled of a question, and what they spent on it."""
        outcome = self._read_mark(question)
        if outcome is None or not outcome.settled:
            return None, outcome.spent if outcome else Usage()
        follow_up = self._follow_up(question, outcome)
        if follow_up is None:
            return outcome, outcome.spent
        second, spent = self._kept(follow_up)
        return second and _joined(outcome, second), outcome.spent + spent

    async def ask(self, asked: Iterable[Asked]) -> None:
        """Ask what has no answer yet."""
        found = self._finished
        pending = self._unanswered_of(asked)
        progress = track(range(self.pending), total=self.pending, label=self._label, unit="requests")
        next(progress, None)
        judge = Judge(self._config, self._spending)

        async def work() -> None:
            while not self._spending.exceeded and (entry := next(pending, None)):
                key, question = entry
                outcome = await self._settle(judge, question)
                self.answers.put(key, outcome)
                next(progress, None)
                self._check_health(outcome.error)

        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(self._config.max_in_flight))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._config.max_in_flight, self.pending)):
                    group.create_task(work())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            print(self._report(judge, found), file=sys.stderr)
            await judge.close()
        limit = self._spending.exceeded or self._limit
        left = self.answers.fill(Outcome(None, JudgeBudgetError(limit))) + self._errors[JudgeBudgetError]
        if left and self._stop_on_budget:
            raise UsageError(
                f"{self._label}: the budget is spent: {limit}; "
                f"{self.answers.unique - left} of {self.answers.unique} requests are done; "
                "raise the limit, then run again: finished answers are kept"
            )

    def _unanswered_of(self, asked: Iterable[Asked]) -> Iterator[tuple[str, Question]]:
        """Each question without an outcome, once."""
        begun: set[str] = set()
        for item, question in asked:
            key = self._key(question)
            if item in self.answers and not self.answers.has(key) and key not in begun:
                begun.add(key)
                yield key, question

    async def _settle(self, judge: Judge, question: Question) -> Outcome[AnswerT]:
        """The outcome of a question, or of the one that the review of its answer gives."""
        outcome = await self._one(judge, question)
        follow_up = self._follow_up(question, outcome)
        if follow_up is None:
            return outcome
        return _joined(outcome, await self._settle(judge, follow_up))

    async def _one(self, judge: Judge, question: Question) -> Outcome[AnswerT]:
        """The outcome of one question, from the store or from a server."""
        kept, encoded = await asyncio.to_thread(self._load, judge, question)
        if isinstance(kept, ItemError):
            return Outcome(None, JudgeEvidenceError(f"{kept.rule}: {kept}"))
        if kept is not None and kept.settled:
            return kept
        try:
            outcome: Outcome[AnswerT] = Outcome(await judge.ask(encoded, answer=self._answer))
        except JudgeError as error:
            outcome = Outcome(None, error)
        if kept is not None:
            outcome = outcome.after(kept.spent)
        if outcome.settled or outcome.spent.requests:
            data = outcome.to_bytes(question.content)
            await asyncio.to_thread(self._store.set_mark, self._mark(question), data)
        return outcome

    def _load(self, judge: Judge, question: Question) -> tuple[Outcome[AnswerT] | ItemError | None, Any]:
        """What the store holds of a question, and the request to send where that is no answer."""
        kept = self._read_mark(question)
        if kept is not None and kept.settled:
            return kept, None
        try:
            evidence = question.load()
        except ItemError as error:
            return error, None
        return kept, judge.encode(question.prompt, evidence, answer=self._answer)

    def _follow_up(self, question: Question, outcome: Outcome[AnswerT]) -> Question | None:
        if question.review is None or outcome.answered is None:
            return None
        return question.review(outcome.answered.answer)

    def _key(self, question: Question) -> str:
        return question_key(question, self._answer, self._config)

    def _mark(self, question: Question) -> str:
        key = self._key(question)
        return f"judge/{key[:2]}/{key}"

    def _read_mark(self, question: Question) -> Outcome[AnswerT] | None:
        data = self._store.get_mark(self._mark(question))
        return None if data is None else Outcome.from_bytes(data, self._answer)

    def _check_health(self, error: JudgeError | None) -> None:
        """Stop as soon as the end is certain instead of trying each of thousands of items in vain."""
        self._finished += 1
        if error is not None:
            self._errors[type(error)] += 1
        if isinstance(error, JudgeBudgetError):
            self._limit = str(error)
        total = self.answers.unique
        unavailable = self._errors[JudgeUnavailableError] + self._errors[JudgeEvidenceError]
        unanswered = unavailable + self._errors[JudgeUnparsableError]
        first = max(_FIRST, self._config.max_in_flight)
        hopeless = unanswered == self._finished >= first or unavailable == total
        if hopeless or unavailable > self._max_failed_share * total:
            raise UsageError(
                f"{self._label}: {unanswered} of the first {self._finished} requests got no answer "
                f"(max_failed_share is {self._max_failed_share:g} of {total}): {error}; "
                "check the judge server, then run again: finished answers are kept"
            )

    def _report(self, judge: Judge, found: int) -> str:
        """What was asked of whom and what it took, in one line."""
        used, refused = self._spending.used, self._errors[JudgeRefusalError]
        unanswered = sum(self._errors.values()) - refused
        servers = ", ".join(f"{name} {count}" for name, count in sorted(judge.served.items())) or "none"
        sent = used.bytes_sent / max(used.requests, 1) / 1000
        return (
            f"{self._label}: {self._finished - found - unanswered} answered now, {found} before; {refused} "
            f"refused, {unanswered} without an answer; answers by {servers}; in all "
            f"{used.bytes_sent / 1e6:.3g} MB sent ({sent:.3g} kB a request), {used.input_tokens} tokens in, "
            f"{used.output_tokens} out, cost {self._config.budget.cost(used):.4g}"
        )


def _joined(first: Outcome[AnswerT], second: Outcome[AnswerT]) -> Outcome[AnswerT]:
    """The outcome of a follow-up, with what both questions took."""
    if second.answered is None:
        error = second.error
        assert error is not None
        return Outcome(None, type(error)(str(error), first.usage + error.usage, first.spent + error.spent))
    return Outcome(
        replace(
            second.answered,
            usage=first.usage + second.answered.usage,
            spent=first.spent + second.answered.spent,
        )
    )
