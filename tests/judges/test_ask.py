import asyncio
import base64

import pytest
from scripted import Verdict, completion

from veo_core.errors import UsageError
from veo_core.judges.client import Judge, JudgeConfig
from veo_core.judges.errors import JudgeRefusalError, JudgeUnavailableError, JudgeUnparsableError
from veo_core.judges.evidence import Evidence

GOOD = {"unsafe": True, "reason": "a sign", "scores": [1, 2]}
QUICK = {"retry-after-ms": "1"}


def ask(config=None, **evidence):
    async def once():
        judge = Judge(config or JudgeConfig())
        try:
            encoded = judge.encode("Is it unsafe?", Evidence(**evidence), answer=Verdict)
            return await judge.ask(encoded, answer=Verdict)
        finally:
            await judge.close()

    return asyncio.run(once())


def test_answer_is_typed_and_names_the_served_model(serve):
    serve(lambda body: (200, {}, completion(GOOD)))
    given = ask()
    assert given.answer == Verdict(unsafe=True, reason="a sign", scores=[1, 2])
    assert given.version == "served-model-2"


def test_request_carries_pictures_sound_and_a_strict_schema(serve):
    server = serve(lambda body: (200, {}, completion(GOOD)))
    ask(JudgeConfig(model="m"), images=(b"one", b"two"), audio=b"wav")
    (body,) = server.requests
    assert (body["model"], body["temperature"]) == ("m", 0.0)
    text, one, two, sound = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "Is it unsafe?"}
    assert one["image_url"]["url"] == "data:image/jpeg;base64," + base64.b64encode(b"one").decode()
    assert two["image_url"]["url"].endswith(base64.b64encode(b"two").decode())
    assert sound["input_audio"] == {"data": base64.b64encode(b"wav").decode(), "format": "wav"}
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["unsafe", "reason", "scores"]
    assert schema["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overload_is_tried_again_until_it_passes(serve, status):
    answers = iter([(status, QUICK, {}), (status, QUICK, {}), (200, {}, completion(GOOD))])
    server = serve(lambda body: next(answers))
    assert ask().answer.unsafe
    assert len(server.requests) == 3


def test_server_that_stays_ill_is_unavailable_after_all_attempts(serve):
    server = serve(lambda body: (500, QUICK, {"error": {"message": "out of order"}}))
    with pytest.raises(JudgeUnavailableError, match="out of order"):
        ask(JudgeConfig(max_attempts=3))
    assert len(server.requests) == 3


def test_server_that_is_not_there_is_unavailable(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(JudgeUnavailableError, match="APIConnectionError"):
        ask(JudgeConfig(max_attempts=1))


@pytest.mark.parametrize(
    "response",
    [
        completion("no JSON"),
        completion({"unsafe": True}),
        completion({**GOOD, "more": 1}),
        completion({**GOOD, "unsafe": "perhaps"}),
        completion({**GOOD, "reason": " "}),
        completion(""),
        {"choices": []},
        b"<html>",
        b"[]",
    ],
)
def test_answer_that_does_not_fit_is_asked_for_again_then_unparsable(serve, response):
    server = serve(lambda body: (200, {}, response))
    with pytest.raises(JudgeUnparsableError):
        ask(JudgeConfig(max_parse_attempts=2))
    assert len(server.requests) == 2


def test_answer_that_is_cut_off_says_which_limit_did_it(serve):
    response = completion('{"unsafe": true, "reas')
    response["choices"][0]["finish_reason"] = "length"
    serve(lambda body: (200, {}, response))
    with pytest.raises(JudgeUnparsableError, match=r"judge\.max_tokens"):
        ask(JudgeConfig(max_parse_attempts=1))


def test_settings_that_a_model_refuses_are_left_out_or_renamed(serve):
    server = serve(lambda body: (200, {}, completion(GOOD)))
    ask(JudgeConfig(temperature=None, max_tokens=9, max_tokens_key="max_completion_tokens"))
    (body,) = server.requests
    assert "temperature" not in body
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 9


def test_answer_that_fits_at_the_second_attempt_counts(serve):
    answers = iter([completion("{"), completion(GOOD)])
    serve(lambda body: (200, {}, next(answers)))
    assert ask().answer.unsafe


@pytest.mark.parametrize(
    ("status", "response"),
    [
        (200, completion("", refusal="I cannot help with that")),
        (400, {"error": {"message": "blocked", "code": "content_filter"}}),
    ],
)
def test_refusal_is_told_apart_and_not_repeated(serve, status, response):
    server = serve(lambda body: (status, {}, response))
    with pytest.raises(JudgeRefusalError):
        ask()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_key_or_model_is_the_users_to_mend(serve, status):
    serve(lambda body: (status, {}, {"error": {"message": "no such model"}}))
    with pytest.raises(UsageError, match=r"judge\.model"):
        ask()


def test_no_server_in_the_environment_says_what_to_set(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENAI_BASE_URL"):
        ask()


def test_remote_server_without_a_key_says_what_to_set(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://judge.example.org/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        ask()
