"""The budget: what counts, when it stops, and that a resumed run does not spend it again."""

import pytest
from scripted import Verdict, completion

from veo_core.errors import UsageError
from veo_core.judges.batch import ask_all, run_all
from veo_core.judges.config import Budget, JudgeConfig
from veo_core.judges.errors import JudgeBudgetError
from veo_core.judges.evidence import Evidence, Question
from veo_core.judges.usage import Usage
from veo_core.storage import Store

GOOD = {"unsafe": False, "reason": "fine", "scores": []}  # 100 tokens in and 10 out, says the server


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def questions(count):
    return [Question(prompt=f"about {index}", content=(), load=Evidence) for index in range(count)]


def ask(store, count=20, *, in_flight=1, stop=True, parse_attempts=3, **budget):
    config = JudgeConfig(
        max_in_flight=in_flight, max_parse_attempts=parse_attempts, max_attempts=1, budget=Budget(**budget)
    )
    return run_all(
        questions(count), answer=Verdict, config=config, store=store, label="test", stop_on_budget=stop
    )


def good(body):
    return 200, {}, completion(GOOD)


@pytest.mark.parametrize(
    ("budget", "answered"),
    [
        ({"max_requests": 7}, 7),
        ({"max_tokens": 7 * 110 + 1}, 7),
        ({"max_cost": 7.5 * 0.14, "input_price": 1000.0, "output_price": 4000.0}, 7),
        ({"max_requests": 0}, 0),
    ],
)
@pytest.mark.parametrize("in_flight", [1, 4])
def test_budget_stops_before_the_request_that_would_exceed_it(serve, store, budget, answered, in_flight):
    server = serve(good)
    limit = next(iter(budget))
    with pytest.raises(UsageError, match=rf"judge\.budget\.{limit} .*{answered} of 20 requests are done"):
        ask(store, in_flight=in_flight, **budget)
    assert len(server.requests) == answered


def test_higher_budget_resumes_without_repeating_a_request(serve, store):
    server = serve(good)
    with pytest.raises(UsageError, match="8 of 20"):
        ask(store, max_requests=8)
    with pytest.raises(UsageError, match="12 of 20"):
        ask(store, max_requests=12)
    assert all(outcome.answered for outcome in ask(store, max_requests=20))
    asked = [body["messages"][0]["content"][0]["text"] for body in server.requests]
    assert len(asked) == len(set(asked)) == 20


def test_same_budget_again_asks_nothing_more(serve, store):
    server = serve(good)
    for _ in range(2):
        with pytest.raises(UsageError, match="8 of 20"):
            ask(store, max_requests=8)
    assert len(server.requests) == 8


def test_unparsable_answers_are_paid_for_in_later_runs_too(serve, store):
    serve(lambda body: (200, {}, completion("{")))
    (outcome,) = ask(store, 1, parse_attempts=3)
    assert outcome.error.spent == Usage(
        requests=3, input_tokens=300, output_tokens=30, bytes_sent=outcome.error.spent.bytes_sent
    )
    server = serve(good)
    with pytest.raises(UsageError, match="max_requests is 3, of which 3 is spent"):
        ask(store, 1, max_requests=3)
    assert server.requests == []
    (outcome,) = ask(store, 1, max_requests=4)
    assert (outcome.answered.usage.requests, outcome.answered.spent.requests) == (1, 4)


def test_caller_that_asks_for_it_gets_outcomes_instead_of_an_error(serve, store):
    serve(good)
    outcomes = ask(store, max_requests=5, stop=False)
    assert [outcome.answered is not None for outcome in outcomes] == [True] * 5 + [False] * 15
    assert {type(outcome.error) for outcome in outcomes[5:]} == {JudgeBudgetError}


def test_usage_is_the_same_however_often_the_run_was_interrupted(serve, store, tmp_path):
    replies = iter([completion("{"), *[completion(GOOD)] * 99])
    serve(lambda body: (200, {}, next(replies)))
    with pytest.raises(UsageError):
        ask(store, max_requests=9)

    def usage_in(where):
        answers = ask_all(
            lambda: ((str(i), q) for i, q in enumerate(questions(20))),
            answer=Verdict,
            config=JudgeConfig(),
            store=where,
            label="test",
        )
        return answers.usage

    straight = usage_in(Store(str(tmp_path / "straight")))
    assert usage_in(store) == straight
    assert (straight.requests, straight.input_tokens, straight.output_tokens) == (20, 2000, 200)


def test_parts_share_the_budget():
    budget = Budget(max_requests=10, max_tokens=None, max_cost=3.0)
    parts = [budget.part(index, 4) for index in range(4)]
    assert [part.max_requests for part in parts] == [3, 3, 2, 2]
    assert {part.max_tokens for part in parts} == {None}
    assert {part.max_cost for part in parts} == {0.75}


def test_run_that_ends_for_its_budget_says_so_in_one_line_and_what_it_took(serve, store, capsys):
    serve(good)
    with pytest.raises(UsageError, match="raise the limit, then run again") as caught:
        ask(store, 9, max_requests=4)
    assert "\n" not in str(caught.value)
    report = capsys.readouterr().err.splitlines()[-1]
    assert report.startswith("test: 4 answered now, 0 before; 0 refused, ")
    assert "kB a request), 400 tokens in, 40 out, cost 0" in report
