"""Several servers: how requests are spread, and what happens when one is ill."""

import threading

import pytest
from scripted import ScriptedServer, Verdict, completion

from veo_core.errors import UsageError
from veo_core.judges.backend import TryError
from veo_core.judges.batch import run_all
from veo_core.judges.config import JudgeConfig
from veo_core.judges.endpoints import Endpoint, Pool, addresses
from veo_core.judges.evidence import Evidence, Question
from veo_core.storage import Store

GOOD = {"unsafe": False, "reason": "fine", "scores": []}
ILL = TryError("out of order", ill=True)
BUSY = TryError("too many", retry_after=1.0)


class NoBackend:
    """Stands where no request is sent."""


def pool(*names, cool_down=10.0):
    return Pool([Endpoint(name, NoBackend()) for name in names], cool_down)


def test_request_goes_to_the_server_with_the_fewest_in_flight():
    servers = pool("a", "b")
    first, second = servers.endpoints
    with first.use():
        assert servers.pick({}, 0.0) == (second, 0.0)
        with second.use(), second.use():
            assert servers.pick({}, 0.0) == (first, 0.0)


def test_server_that_fails_in_a_row_rests_then_is_probed_by_one_request():
    servers = pool("a", "b")
    first, second = servers.endpoints
    for _ in range(3):
        servers.failed(first, ILL, now=0.0)
    with second.use():
        assert servers.pick({}, 9.0) == (second, 0.0)
        assert servers.pick({}, 11.0) == (first, 0.0)
        with first.use():
            assert servers.pick({}, 11.0) == (second, 0.0)
        servers.succeeded(first)
        assert servers.pick({}, 11.0) == (first, 0.0)


def test_busy_server_is_not_ill():
    servers = pool("a", "b")
    first, second = servers.endpoints
    for _ in range(9):
        servers.failed(first, BUSY, now=0.0)
    with second.use():
        assert servers.pick({}, 0.0) == (first, 0.0)


def test_where_every_server_is_ill_none_rests():
    servers = pool("a")
    (only,) = servers.endpoints
    for _ in range(9):
        servers.failed(only, ILL, now=0.0)
    assert servers.pick({}, 0.0) == (only, 0.0)


def test_request_that_was_told_to_wait_goes_elsewhere_or_waits():
    servers = pool("a", "b")
    first, second = servers.endpoints
    assert servers.pick({first: 5.0}, 1.0) == (second, 0.0)
    assert servers.pick({first: 5.0, second: 3.0}, 1.0) == (None, 2.0)


@pytest.fixture
def servers(monkeypatch):
    """Two servers, both named in the environment."""
    started = []

    def start(*replies):
        started.extend(ScriptedServer(reply) for reply in replies)
        monkeypatch.setenv("OPENAI_BASE_URL", ", ".join(server.url for server in started))
        return started

    yield start
    for server in started:
        server.close()


def questions(count):
    return [Question(prompt=f"about {index}", content=(), load=Evidence) for index in range(count)]


def ask(store, count, **judge):
    config = JudgeConfig(**{"max_attempts": 4, "max_in_flight": 8, **judge})
    return run_all(questions(count), answer=Verdict, config=config, store=store, label="test")


def test_requests_are_spread_over_the_servers(servers, tmp_path):
    both = threading.Barrier(2)

    def reply(body):
        both.wait(timeout=30)
        return 200, {}, completion(GOOD)

    # Each server answers only while the other one has a request, too.
    one, other = servers(reply, reply)
    ask(Store(str(tmp_path)), 8, max_in_flight=2)
    assert (len(one.requests), len(other.requests)) == (4, 4)


def test_server_that_dies_midway_loses_no_request(servers, tmp_path):
    answered = threading.Semaphore(10)

    def mortal(body):
        if not answered.acquire(blocking=False):
            dying.die()
        return 200, {}, completion(GOOD)

    dying, healthy = servers(mortal, lambda body: (200, {}, completion(GOOD)))
    outcomes = ask(Store(str(tmp_path)), 80)
    assert all(outcome.answered for outcome in outcomes)
    assert len(dying.requests) < 40 < len(healthy.requests)
    answered_by_healthy = {body["messages"][0]["content"][0]["text"] for body in healthy.requests}
    assert len(answered_by_healthy) == len(healthy.requests), "a request was answered twice"


def test_redirect_to_another_host_is_not_followed(servers, tmp_path):
    elsewhere = ScriptedServer(lambda body: (200, {}, completion(GOOD)))
    servers(lambda body: (307, {"location": f"{elsewhere.url}/chat/completions"}, {}))
    try:
        with pytest.raises(UsageError, match="redirects"):
            ask(Store(str(tmp_path)), 1)
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


def test_configured_servers_come_before_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    config = JudgeConfig(endpoints=["http://127.0.0.1:2/v1", "http://127.0.0.1:3/v1"])
    assert [address.name for address in addresses(config)] == ["127.0.0.1:2", "127.0.0.1:3"]


def test_host_that_is_not_allowed_is_refused(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1,http://localhost:2/v1")
    with pytest.raises(UsageError, match=r"'localhost'.*allowed_hosts"):
        addresses(JudgeConfig(allowed_hosts=["127.0.0.1"]))
    assert len(addresses(JudgeConfig(allowed_hosts=["127.0.0.1", "localhost"]))) == 2


@pytest.mark.parametrize("url", ["ftp://host/v1", "host:8000", "http://", "http://host:port/v1"])
def test_url_that_is_none_is_named(monkeypatch, url):
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with pytest.raises(UsageError, match="is no URL"):
        addresses(JudgeConfig(endpoints=[url]))


def test_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        addresses(JudgeConfig(endpoints=["https://me:s3cret@judge.example.org/v1"]))
    assert "s3cret" not in str(caught.value)


def test_only_servers_on_this_machine_need_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for url in ("http://127.0.0.1:1/v1", "http://[::1]:1/v1", "http://localhost:1/v1"):
        assert addresses(JudgeConfig(endpoints=[url]))
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        addresses(JudgeConfig(endpoints=["http://127.0.0.1:1/v1", "http://10.0.0.1:1/v1"]))
