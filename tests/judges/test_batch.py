import threading

import pytest
from scripted import Verdict, completion

from veo_core.errors import UsageError
from veo_core.judges.batch import Evidence, Question, run_all
from veo_core.judges.client import JudgeConfig
from veo_core.judges.errors import JudgeRefusalError, JudgeUnavailableError, JudgeUnparsableError
from veo_core.storage import Store

GOOD = {"unsafe": False, "reason": "fine", "scores": []}
QUICK = {"retry-after-ms": "1"}


def question(name):
    return Question(prompt=f"about {name}", content=(name,), load=lambda: Evidence(images=(name.encode(),)))


def batch(store, names, **changes):
    config = JudgeConfig(**{"max_attempts": 2, "max_parse_attempts": 2, **changes.pop("judge", {})})
    return run_all(
        [question(name) for name in names],
        answer=Verdict,
        config=config,
        store=store,
        label="test",
        **changes,
    )


def about(body):
    return body["messages"][0]["content"][0]["text"].removeprefix("about ")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def test_outcomes_come_in_the_order_of_the_questions(serve, store):
    serve(lambda body: (200, {}, completion({**GOOD, "reason": about(body)})))
    names = [f"clip {index}" for index in range(50)]
    assert [outcome.answered.answer.reason for outcome in batch(store, names)] == names


def test_second_run_asks_nothing_again(serve, store):
    server = serve(lambda body: (200, {}, completion({**GOOD, "reason": about(body)})))
    first = batch(store, ["a", "b"])
    assert batch(store, ["b", "a"]) == first[::-1]
    assert len(server.requests) == 2


@pytest.mark.parametrize("change", [{"judge": {"model": "other"}}, {"judge": {"temperature": 1.0}}])
def test_other_model_or_setting_asks_again(serve, store, change):
    server = serve(lambda body: (200, {}, completion(GOOD)))
    batch(store, ["a"])
    batch(store, ["a"], **change)
    assert len(server.requests) == 2


def test_equal_questions_are_asked_once(serve, store):
    server = serve(lambda body: (200, {}, completion(GOOD)))
    assert len(batch(store, ["a", "a", "a"])) == 3
    assert len(server.requests) == 1


def test_refusals_are_kept_and_other_errors_asked_again(serve, store):
    def reply(body):
        if about(body) == "refused":
            return 200, {}, completion("", refusal="no")
        if about(body) == "unparsable":
            return 200, {}, completion("{")
        if about(body) == "unavailable":
            return 500, QUICK, {}
        return 200, {}, completion(GOOD)

    server = serve(reply)
    names = ["good", "refused", "unparsable", "unavailable"]
    errors = [type(outcome.error) for outcome in batch(store, names)]
    assert errors == [type(None), JudgeRefusalError, JudgeUnparsableError, JudgeUnavailableError]
    before = len(server.requests)
    assert [type(outcome.error) for outcome in batch(store, names)] == errors
    assert sorted({about(body) for body in server.requests[before:]}) == ["unavailable", "unparsable"]


def test_requests_overlap_up_to_the_limit_and_no_further(serve, store):
    together = threading.Barrier(4)

    def reply(body):
        together.wait(timeout=30)
        return 200, {}, completion(GOOD)

    server = serve(reply)
    batch(store, [str(index) for index in range(12)], judge={"max_in_flight": 4})
    assert server.most_at_once == 4


def test_ill_server_stops_the_batch_before_every_item_was_tried(serve, store):
    server = serve(lambda body: (500, QUICK, {"error": {"message": "out of order"}}))
    with pytest.raises(UsageError, match=r"out of order.*run again"):
        batch(store, [str(index) for index in range(400)], judge={"max_in_flight": 8})
    assert len(server.requests) < 100


def test_share_of_failed_requests_above_the_limit_stops_the_batch(serve, store):
    serve(lambda body: (500, QUICK, {}) if int(about(body)) % 2 else (200, {}, completion(GOOD)))
    with pytest.raises(UsageError, match="max_failed_share"):
        batch(store, [str(index) for index in range(40)], max_failed_share=0.2)


def test_no_questions_need_no_answers(serve, store):
    serve(lambda body: (500, QUICK, {}))
    assert batch(store, []) == []
