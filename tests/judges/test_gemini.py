"""Gemini through its real client, against a server that speaks its REST format."""

import asyncio
import base64
import threading

import pytest
from gemini_server import GeminiServer, answer
from scripted import Verdict

from veo_core.errors import UsageError
from veo_core.judges.client import Judge, JudgeConfig
from veo_core.judges.errors import JudgeRefusalError, JudgeUnavailableError, JudgeUnparsableError
from veo_core.judges.evidence import Evidence

GOOD = {"unsafe": True, "reason": "a sign", "scores": [1, 2]}
CONFIG = JudgeConfig(provider="gemini", model="gemini-x", max_attempts=2, max_parse_attempts=2)


@pytest.fixture
def serve(monkeypatch):
    servers = []
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def start(reply, **settings):
        servers.append(GeminiServer(reply, **settings))
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", servers[-1].url)
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(evidence=None, **changes):
    async def once():
        judge = Judge(CONFIG.model_copy(update=changes))
        try:
            encoded = judge.encode("Is it unsafe?", evidence or Evidence(), answer=Verdict)
            return await judge.ask(encoded, answer=Verdict)
        finally:
            await judge.close()

    return asyncio.run(once())


def inline(part):
    return part["inlineData"]["mimeType"], base64.urlsafe_b64decode(part["inlineData"]["data"])


def test_answer_is_typed_with_the_served_model_and_what_it_took(serve):
    serve(lambda body: (200, {}, answer(GOOD)))
    given = ask()
    assert given.answer == Verdict(unsafe=True, reason="a sign", scores=[1, 2])
    assert given.version == "gemini-served-1"
    assert (given.usage.requests, given.usage.input_tokens, given.usage.output_tokens) == (1, 100, 15)


def test_request_carries_pictures_sound_and_the_schema(serve):
    server = serve(lambda body: (200, {}, answer(GOOD)))
    ask(Evidence(images=(b"one", b"two"), audio=b"wav"))
    (body,) = server.requests
    text, one, two, sound = body["contents"][0]["parts"]
    assert text == {"text": "Is it unsafe?"}
    assert [inline(part) for part in (one, two, sound)] == [
        ("image/jpeg", b"one"),
        ("image/jpeg", b"two"),
        ("audio/wav", b"wav"),
    ]
    settings = body["generationConfig"]
    assert settings["responseMimeType"] == "application/json"
    assert settings["responseJsonSchema"]["required"] == ["unsafe", "reason", "scores"]
    assert server.calls[0][1] == "/v1beta/models/gemini-x:generateContent"


def test_short_video_goes_inline(serve):
    server = serve(lambda body: (200, {}, answer(GOOD)))
    ask(Evidence(video=b"mp4"), video_fps=8.0)
    part = server.requests[0]["contents"][0]["parts"][1]
    assert inline(part) == ("video/mp4", b"mp4")
    assert part["videoMetadata"] == {"fps": 8.0}
    assert server.files == {}


def test_long_video_is_uploaded_awaited_named_and_deleted(serve):
    server = serve(lambda body: (200, {}, answer(GOOD)), pending=2)
    assert ask(Evidence(video=b"a long video"), max_inline_bytes=4).answer.unsafe
    assert server.files == {"files/0": b"a long video"}
    part = server.requests[0]["contents"][0]["parts"][1]
    assert part["fileData"] == {"fileUri": "https://files.example/files/0", "mimeType": "video/mp4"}
    assert [method for method, path, _ in server.calls if path.endswith("files/0")] == [
        "GET",
        "GET",
        "DELETE",
    ]
    assert server.deleted == ["files/0"]


def test_upload_keeps_to_the_named_server_wherever_the_answer_points(serve):
    elsewhere = serve(lambda body: (200, {}, answer(GOOD)))
    server = serve(lambda body: (200, {}, answer(GOOD)), upload_host=elsewhere.url.removeprefix("http://"))
    ask(Evidence(video=b"a long video"), max_inline_bytes=4)
    assert (server.files, elsewhere.calls) == ({"files/0": b"a long video"}, [])


def test_redirect_is_not_followed(serve):
    elsewhere = serve(lambda body: (200, {}, answer(GOOD)))
    target = {"location": f"{elsewhere.url}/v1beta/models/gemini-x:generateContent"}
    serve(lambda body: (307, target, {}))
    with pytest.raises(JudgeUnavailableError, match="redirects"):
        ask()
    assert elsewhere.calls == []


@pytest.mark.parametrize(
    "response",
    [
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
        answer("", reason="SAFETY"),
        answer("", reason="SPII"),
    ],
)
def test_refusal_is_told_apart_and_not_repeated(serve, response):
    server = serve(lambda body: (200, {}, response))
    with pytest.raises(JudgeRefusalError):
        ask()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "response", [answer("no JSON"), answer("", reason="MAX_TOKENS"), {"candidates": []}, {}, b"<html>", b"[]"]
)
def test_answer_that_does_not_fit_is_asked_for_again_then_unparsable(serve, response):
    server = serve(lambda body: (200, {}, response))
    with pytest.raises(JudgeUnparsableError):
        ask()
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overload_is_tried_again_until_it_passes(serve, status):
    replies = iter([(status, {"retry-after": "0"}, {"error": {"code": status}}), (200, {}, answer(GOOD))])
    server = serve(lambda body: next(replies))
    assert ask().answer.unsafe
    assert len(server.requests) == 2


def test_wait_longer_than_allowed_in_the_error_details_is_not_waited_for(serve):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600s"}]
    server = serve(lambda body: (429, {}, {"error": {"code": 429, "message": "quota", "details": details}}))
    with pytest.raises(JudgeUnavailableError, match=r"3600 s.*max_wait_seconds"):
        ask(max_wait_seconds=5.0)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, {"message": "denied"}),
        (404, {"message": "no such model"}),
        (400, {"message": "bad key", "details": [{"reason": "API_KEY_INVALID"}]}),
    ],
)
def test_wrong_key_or_model_is_the_users_to_mend(serve, status, error):
    serve(lambda body: (status, {}, {"error": {"code": status, **error}}))
    with pytest.raises(UsageError, match=r"GEMINI_API_KEY.*judge\.model"):
        ask()


def test_rejected_request_is_not_repeated(serve):
    server = serve(lambda body: (400, {}, {"error": {"code": 400, "message": "too long"}}))
    with pytest.raises(JudgeUnavailableError, match="too long"):
        ask()
    assert len(server.requests) == 1


def test_key_goes_to_the_server_and_into_no_error(serve, monkeypatch):
    server = serve(lambda body: (400, {}, {"error": {"code": 400, "message": "what is s3cret-key?"}}))
    monkeypatch.setenv("GEMINI_API_KEY", "s3cret-key")
    with pytest.raises(JudgeUnavailableError) as caught:
        ask()
    assert server.calls[0][2] == "s3cret-key"
    assert "s3cret-key" not in str(caught.value)
    assert "[key]" in str(caught.value)


def test_server_elsewhere_without_a_key_says_what_to_set(serve, monkeypatch):
    serve(lambda body: (200, {}, {}))
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "https://gemini.example.org")
    with pytest.raises(UsageError, match="GEMINI_API_KEY"):
        ask()


def test_server_that_hangs_costs_one_try_at_a_time(serve):
    release = threading.Event()
    held = iter([True, False])

    def reply(body):
        if next(held):
            release.wait(timeout=60)
        return 200, {}, answer(GOOD)

    server = serve(reply)
    try:
        assert ask(timeout_seconds=0.5).answer.unsafe
    finally:
        release.set()
    assert len(server.requests) == 2
