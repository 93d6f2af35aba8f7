"""How long the client waits, and for what: Retry-After, stalls, secrets in errors."""

import threading

import pytest
from scripted import Verdict, completion

from veo_core.errors import UsageError
from veo_core.judges.answers import Answers, Outcome
from veo_core.judges.batch import run_all
from veo_core.judges.client import Answered
from veo_core.judges.config import JudgeConfig
from veo_core.judges.errors import JudgeUnavailableError
from veo_core.judges.evidence import Evidence, Question
from veo_core.judges.openai_server import retry_after
from veo_core.storage import Store

GOOD = {"unsafe": False, "reason": "fine", "scores": []}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def ask(store, count=1, **judge):
    config = JudgeConfig(**{"max_attempts": 3, "max_in_flight": 4, **judge})
    questions = [Question(prompt=f"about {index}", content=(), load=Evidence) for index in range(count)]
    return run_all(questions, answer=Verdict, config=config, store=store, label="test")


def test_retry_after_is_honoured(serve, store):
    replies = iter([(429, {"retry-after": "1"}, {}), (503, {"retry-after-ms": "700"}, {})])
    server = serve(lambda body: next(replies, (200, {}, completion(GOOD))))
    (outcome,) = ask(store)
    assert outcome.answered
    first, second, third = server.times
    assert second - first >= 1.0
    assert third - second >= 0.7


def test_longer_wait_than_allowed_gives_up_at_once(serve, store):
    server = serve(lambda body: (429, {"retry-after": "3600"}, {}))
    with pytest.raises(UsageError, match=r"3600 s.*judge\.max_wait_seconds"):
        ask(store, max_wait_seconds=2.0)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
    ],
)
def test_retry_after_of_a_response(headers, seconds):
    assert retry_after(headers) == seconds


def test_date_to_retry_after_is_understood():
    assert retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) > 1e9


def test_stall_costs_one_try_of_one_request(serve, store):
    release = threading.Event()
    stalled = threading.Semaphore(1)

    def reply(body):
        if stalled.acquire(blocking=False):
            release.wait(timeout=60)
        return 200, {}, completion(GOOD)

    server = serve(reply)
    try:
        outcomes = ask(store, 20, timeout_seconds=1.0)
    finally:
        release.set()
    assert all(outcome.answered for outcome in outcomes)
    assert len(server.requests) == 21


def test_server_that_stalls_for_ever_is_unavailable(serve, store):
    release = threading.Event()

    def reply(body):
        release.wait(timeout=60)
        return 200, {}, completion(GOOD)

    server = serve(reply)
    try:
        with pytest.raises(UsageError, match=r"no answer within 0\.2 s"):
            ask(store, timeout_seconds=0.2, max_attempts=2)
    finally:
        release.set()
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 500])
def test_key_that_a_server_repeats_is_in_no_error_and_no_log(serve, store, monkeypatch, capsys, status):
    server = serve(lambda body: (status, {"retry-after": "0"}, {"error": {"message": "key s3cret-key!"}}))
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret-key")
    with pytest.raises(UsageError) as caught:
        ask(store)
    assert server.requests
    assert "s3cret-key" not in str(caught.value) + capsys.readouterr().err
    assert "[key]" in str(caught.value)


def test_other_revision_asks_again(serve, store):
    server = serve(lambda body: (200, {}, completion(GOOD)))
    for revision in ("", "", "2026-11", "2026-11"):
        ask(store, revision=revision)
    assert len(server.requests) == 2


def test_evidence_is_loaded_only_for_questions_without_an_answer(serve, store):
    serve(lambda body: (200, {}, completion(GOOD)))
    loaded = []
    question = Question("?", ("a",), lambda: loaded.append(1) or Evidence())
    for _ in range(3):
        run_all([question], answer=Verdict, config=JudgeConfig(), store=store, label="test")
    assert loaded == [1]


def test_review_asks_once_more_and_later_runs_find_both_answers(serve, store):
    replies = [completion(GOOD | {"reason": text}) for text in ("first", "second")]
    server = serve(lambda body: (200, {}, replies[len(server.requests) - 1]))
    second = Question("again", (), Evidence)
    first = Question("?", (), Evidence, lambda answer: second if answer.reason == "first" else None)
    for _ in range(2):
        (outcome,) = run_all([first], answer=Verdict, config=JudgeConfig(), store=store, label="test")
        assert outcome.answer.reason == "second"
        assert outcome.answered.usage.requests == 2
    assert len(server.requests) == 2


def test_outcomes_survive_their_bytes():
    answers = Answers(Verdict)
    given = Outcome(Answered(Verdict(**GOOD), "served-1"))
    failed = Outcome(None, JudgeUnavailableError("gone"))
    assert answers.expect("a", "00" * 32)
    assert not answers.expect("b", "00" * 32)
    assert answers.expect("c", "11" * 32)
    answers.put("00" * 32, given)
    assert answers.fill(failed) == 1
    assert answers["a"] == answers["b"] == given
    assert (type(answers["c"].error), str(answers["c"].error)) == (JudgeUnavailableError, "gone")
    assert ("d" in answers, len(answers), answers.unique) == (False, 3, 2)
