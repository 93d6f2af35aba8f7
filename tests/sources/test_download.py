"""Downloads against real servers on loopback."""

import multiprocessing
import ssl
import threading
import time

import pytest
from serving import etag_of, file_server, policy_for

from veo_core.errors import ItemError
from veo_core.sources.download import Downloader
from veo_core.sources.items import OversizedError

LIMIT = 1 << 20


@pytest.fixture
def data(clip) -> bytes:
    return clip.read_bytes()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target.mp4"


def fetch(policy, url, target, *, limit=LIMIT, **injected) -> None:
    Downloader(policy, **injected).fetch(url, target, max_bytes=limit)


def refusal(policy, url, target, **rest) -> ItemError:
    with pytest.raises(ItemError) as caught:
        fetch(policy, url, target, **rest)
    assert not target.exists()
    return caught.value


def test_file_arrives_whole(serve, data, target):
    server = serve(file_server(data))
    fetch(policy_for(server), server.url(), target)
    assert target.read_bytes() == data
    assert [path for path, _ in server.requests] == ["/clip.mp4"]


def test_cut_connection_goes_on_at_the_byte_where_it_broke_off(serve, data, target):
    server = serve(file_server(data, cut_at=[1000, 2000]))
    fetch(policy_for(server), server.url(), target)
    assert target.read_bytes() == data
    ranges = [headers.get("range") for _, headers in server.requests]
    assert ranges == [None, "bytes=1000-", "bytes=2000-"]


def test_next_run_goes_on_with_what_a_failed_one_brought(serve, data, target):
    server = serve(file_server(data, cut_at=[1500]))
    refusal(policy_for(server, attempts=1), server.url(), target)
    fetch(policy_for(server, attempts=1), server.url(), target)
    assert target.read_bytes() == data
    assert server.requests[1][1]["range"] == "bytes=1500-"


def test_download_that_was_killed_goes_on_where_it_was(serve, data, target, tmp_path):
    arrived = threading.Event()
    whole = file_server(data)

    def answer(request):
        if len(server.requests) == 1:
            request.start(200, content_length=str(len(data)), etag=etag_of(data))
            request.wfile.write(data[:1500])
            arrived.wait(60)
        else:
            whole(request)

    server = serve(answer)
    policy = policy_for(server)
    child = multiprocessing.get_context("fork").Process(target=fetch, args=(policy, server.url(), target))
    child.start()
    partial = tmp_path / "temporary"
    while sum(path.stat().st_size for path in partial.rglob("*.part")) < 1500:
        assert child.is_alive()
        time.sleep(0.01)
    child.kill()
    child.join()
    arrived.set()
    fetch(policy, server.url(), target)
    assert target.read_bytes() == data
    assert server.requests[1][1]["range"] == "bytes=1500-"
    assert [path for path in partial.rglob("*") if path.is_file()] == []


def test_file_that_changed_meanwhile_is_fetched_from_its_start(serve, data, target, clip):
    versions = [file_server(data[:-8] + b"12345678", cut_at=[1500]), file_server(data)]
    server = serve(lambda request: versions.pop(0)(request))
    fetch(policy_for(server), server.url(), target)
    assert target.read_bytes() == data


def test_server_without_validators_is_asked_for_the_whole_file_again(serve, data, target):
    server = serve(file_server(data, cut_at=[1500], etag=False))
    fetch(policy_for(server), server.url(), target)
    assert target.read_bytes() == data
    assert server.requests[1][1].get("range") is None


def test_server_that_gives_a_file_in_pieces_is_asked_until_all_is_here(serve, data, target):
    def answer(request):
        first = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        piece = data[first : first + len(data) // 3 + 1]
        place = f"bytes {first}-{first + len(piece) - 1}/{len(data)}"
        request.reply(206, piece, content_range=place, etag='"a"')

    server = serve(answer)
    fetch(policy_for(server), server.url(), target)
    assert target.read_bytes() == data
    assert len(server.requests) == 3


def test_answer_with_another_range_is_not_appended(serve, data, target):
    whole = file_server(data)

    def answer(request):
        if request.headers.get("range"):
            headers = {"etag": '"a"', "content_range": f"bytes 7-{len(data) - 1}/{len(data)}"}
            request.reply(206, data[7:], **headers)
        elif len(server.requests) == 1:
            request.start(200, etag='"a"', content_length=str(len(data)))
            request.wfile.write(data[:1000])
        else:
            whole(request)

    server = serve(answer)
    fetch(policy_for(server), server.url(), target)
    assert target.read_bytes() == data


def test_size_above_the_limit_is_refused_by_the_header_before_the_body(serve, target):
    server = serve(lambda request: request.start(200, content_length="5000000000"))
    error = refusal(policy_for(server), server.url(), target)
    assert isinstance(error, OversizedError)
    assert (error.size, error.limit) == (5_000_000_000, LIMIT)


def test_size_above_the_limit_is_refused_while_it_streams_without_a_header(serve, data, target):
    sent = []

    def answer(request):
        request.start(200, content_type="video/mp4")
        for _ in range(10_000):
            sent.append(request.wfile.write(data[:64] + bytes(65536)))

    server = serve(answer)
    error = refusal(policy_for(server), server.url(), target)
    assert isinstance(error, OversizedError)
    assert sum(sent) < 100 * LIMIT


@pytest.mark.parametrize(
    "body", [b"<!doctype html><title>Log in</title>" * 20, b"", b"\x89PNG\r\n\x1a\n" + bytes(40)]
)
def test_what_is_no_media_is_refused_whatever_its_content_type_says(serve, target, body):
    server = serve(lambda request: request.reply(200, body, content_type="video/mp4"))
    assert refusal(policy_for(server), server.url(), target).rule == "undecodable"


def test_compressed_answer_is_refused(serve, data, target):
    server = serve(lambda request: request.reply(200, data, content_encoding="gzip"))
    assert "compressed" in str(refusal(policy_for(server), server.url(), target))
    assert server.requests[0][1]["accept-encoding"] == "identity"


def test_redirect_is_followed_to_an_allowed_host(serve, data, target):
    last = serve(file_server(data))
    first = serve(lambda request: request.reply(302, location=last.url("/other.mp4")))
    fetch(policy_for(first, last), first.url(), target)
    assert target.read_bytes() == data


def test_redirect_to_a_host_that_is_not_allowed_is_refused(serve, data, target):
    other = serve(file_server(data))
    server = serve(lambda request: request.reply(302, location=other.url()))
    assert "allowed_hosts" in str(refusal(policy_for(server), server.url(), target))
    assert other.requests == []


def test_redirect_to_a_private_address_is_refused_though_the_host_is_allowed(serve, data, target):
    inner = serve(file_server(data), address="127.0.0.2")
    server = serve(lambda request: request.reply(307, location=inner.url("/latest/meta-data")))
    policy = policy_for(server, allowed_hosts=[server.host, inner.host])
    assert "127.0.0.2, which is not a public address" in str(refusal(policy, server.url(), target))
    assert inner.requests == []


def test_redirects_end(serve, target):
    server = serve(lambda request: request.reply(302, location="/again"))
    error = refusal(policy_for(server, max_redirects=3), server.url(), target)
    assert "more than 3 redirects" in str(error)
    assert len(server.requests) == 4


def test_redirect_from_https_to_http_is_refused_by_default(serve, target):
    server = serve(lambda request: request.reply(200))
    assert "scheme" in str(refusal(policy_for(server, allow_http=False), server.url(), target))
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://user:word@cdn.example.com/a.mp4",
        "https://cdn.example.com:8443/a.mp4",
        "https://evil.test/a.mp4",
        "https://cdn.example.com.evil.test/a.mp4",
        "https://2130706433/a.mp4",
        "https://cdn.example.com\\@evil.test/a.mp4",
        "https://cdn.example.com%2f@evil.test/a.mp4",
        "https://evil.test#@cdn.example.com/a.mp4",
        "https://evil.test?@cdn.example.com/a.mp4",
        "ftp://cdn.example.com/a.mp4",
        "file:///etc/passwd",
        "https:///a.mp4",
        "no url",
        "",
    ],
)
def test_url_outside_the_policy_is_refused_without_asking_dns(target, url):
    asked = []
    policy = policy_for(allowed_hosts=["cdn.example.com"])
    refusal(policy, url, target, resolver=lambda host, port: asked.append(host) or [])
    assert asked == []


def test_host_is_resolved_once_so_that_a_later_answer_leads_nowhere(serve, data, target):
    """DNS rebinding: the name passes the check with one address, and then points inside."""
    outer = serve(file_server(data, cut_at=[1000]), address="127.0.0.1")
    inner = serve(file_server(data), address="127.0.0.2", port=outer.server_address[1])
    host = f"cdn.test:{outer.server_address[1]}"
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]]
    policy = policy_for(allowed_hosts=[host], allow_private_hosts=[host])
    fetch(policy, f"http://{host}/a.mp4", target, resolver=lambda name, port: answers.pop(0))
    assert target.read_bytes() == data
    assert (len(outer.requests), len(inner.requests), len(answers)) == (2, 0, 2)
    assert outer.requests[0][1]["host"] == host


def test_address_outside_stays_pinned_when_dns_turns_to_this_machine(serve, data, target):
    inner = serve(file_server(data))
    host = f"cdn.test:{inner.server_address[1]}"
    answers = [["203.0.113.7"], ["127.0.0.1"]]  # TEST-NET-3: an address outside at which nobody answers
    policy = policy_for(allowed_hosts=[host], allow_private_hosts=[host], connect_seconds=0.1, attempts=2)
    error = refusal(policy, f"http://{host}/a.mp4", target, resolver=lambda name, port: answers.pop(0))
    assert "after 2 tries" in str(error)
    assert (inner.requests, len(answers)) == ([], 1)


def test_host_with_one_private_address_among_public_ones_is_refused(target):
    policy = policy_for(allowed_hosts=["cdn.test"])
    addresses = ["93.184.216.34", "10.0.0.8"]
    error = refusal(policy, "https://cdn.test/a.mp4", target, resolver=lambda host, port: addresses)
    assert "10.0.0.8" in str(error)


def test_tls_is_checked_against_the_name_of_the_host_not_the_pinned_address(
    authority, serve, data, target, tmp_path, monkeypatch
):
    chain, key = authority.issue_for("cdn.test")
    for name, pem in (("chain.pem", chain), ("key.pem", key), ("authority.pem", authority.pem())):
        (tmp_path / name).write_bytes(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    names = []
    context.sni_callback = lambda connection, name, _: names.append(name)
    server = serve(file_server(data), tls=context)
    port = server.server_address[1]
    hosts = [f"cdn.test:{port}", f"other.test:{port}"]
    policy = policy_for(allowed_hosts=hosts, allow_private_hosts=hosts, allow_http=False, attempts=1)
    here = {"resolver": lambda host, number: ["127.0.0.1"]}
    fetch(policy, f"https://cdn.test:{port}/a.mp4", target, **here)
    assert target.read_bytes() == data
    assert names == ["cdn.test"]
    target.unlink()
    error = refusal(policy, f"https://other.test:{port}/a.mp4", target, **here)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error).upper()
    assert len(server.requests) == 1


@pytest.mark.parametrize("drip", ["head", "body"])
def test_server_that_drips_bytes_is_left_when_the_time_is_over(serve, data, target, drip):
    stop = threading.Event()

    def answer(request):
        if drip == "body":
            request.start(200, content_length="100000")
        for number in range(10_000):
            if stop.wait(0.02):
                return
            request.wfile.write(data[number : number + 1] if drip == "body" else b"H")

    server = serve(answer)
    started = time.monotonic()
    error = refusal(policy_for(server, max_seconds=0.3, attempts=1), server.url(), target)
    stop.set()
    assert "time" in str(error)
    assert time.monotonic() - started < 60


def test_server_that_falls_silent_is_left(serve, target):
    stop = threading.Event()
    server = serve(lambda request: stop.wait(60))
    error = refusal(policy_for(server, read_seconds=0.2, attempts=1), server.url(), target)
    stop.set()
    assert "no answer in time" in str(error)


@pytest.mark.parametrize("status", [429, 503])
def test_wait_that_the_server_asks_for_is_kept(serve, data, target, status):
    whole = file_server(data)
    waits = []

    def answer(request):
        request.reply(status, retry_after="3") if len(server.requests) == 1 else whole(request)

    server = serve(answer)
    fetch(policy_for(server), server.url(), target, sleep=waits.append)
    assert waits == [3.0]
    assert target.read_bytes() == data


def test_wait_longer_than_allowed_fails_the_item_at_once(serve, target):
    server = serve(lambda request: request.reply(429, retry_after="86400"))
    assert "HTTP 429" in str(refusal(policy_for(server), server.url(), target))
    assert len(server.requests) == 1


def test_waits_double_where_the_server_asks_for_none(serve, target):
    waits = []
    server = serve(lambda request: request.reply(500))
    refusal(policy_for(server, backoff_seconds=0.5, attempts=4), server.url(), target, sleep=waits.append)
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_of_the_server_is_final(serve, target, status):
    server = serve(lambda request: request.reply(status))
    error = refusal(policy_for(server), server.url(), target)
    assert (error.rule, len(server.requests)) == ("download", 1)
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("etag", [True, False])
def test_bytes_stay_only_where_a_later_try_can_go_on_from_them(serve, data, target, tmp_path, etag):
    server = serve(file_server(data, cut_at=[1500], etag=etag))
    refusal(policy_for(server, attempts=1), server.url(), target)
    refusal(policy_for(allowed_hosts=[]), server.url("/other.mp4"), target)
    left = [path.stat().st_size for path in (tmp_path / "temporary").rglob("*.part")]
    assert left == ([1500] if etag else [])


@pytest.mark.parametrize("status", [200, 404, 500, 302])
def test_reason_never_holds_the_path_or_the_query(serve, target, status):
    server = serve(
        lambda request: request.reply(status, b"x", location="http://x.test/p?signature=top-secret")
    )
    error = refusal(policy_for(server), server.url("/private/top-secret?token=top-secret"), target)
    assert "top-secret" not in str(error)


def test_environment_proxies_are_not_used(serve, data, target, monkeypatch):
    proxy = serve(lambda request: request.reply(500))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url(""))
    server = serve(file_server(data))
    fetch(policy_for(server), server.url(), target)
    assert (target.read_bytes(), proxy.requests) == (data, [])
