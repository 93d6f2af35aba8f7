"""The Pexels source against an emulation of its API on loopback."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from collecting import collect
from serving import file_server, policy_for

from veo_core.errors import UsageError
from veo_core.sources.pacing import Pacer
from veo_core.sources.pexels import PexelsClient, PexelsSearch

KEY = "secret-api-key"


class Api:
    """`GET /videos/search` with pages of 2 videos, 5 in all, and the files that they link to."""

    def __init__(self, serve, clip) -> None:
        self._files = file_server(clip.read_bytes())
        self.remaining = 100
        self.reset = 4_000_000_000
        self.faults: list[dict] = []
        self.server = serve(self._answer)

    def _answer(self, request) -> None:
        path = urlsplit(request.path)
        if path.path.startswith("/files/"):
            self._files(request)
        elif request.headers.get("authorization") != KEY:
            request.reply(401, b'{"error": "unauthorized"}')
        elif self.faults:
            request.reply(**self.faults.pop(0))
        else:
            asked = {name: values[0] for name, values in parse_qs(path.query).items()}
            self.remaining -= 1
            quota = {"x_ratelimit_remaining": str(self.remaining), "x_ratelimit_reset": str(self.reset)}
            request.reply(200, json.dumps(self._page(asked)).encode(), **quota)

    def _page(self, asked: dict) -> dict:
        first, size = 2 * (int(asked["page"]) - 1), 2
        numbers = range(first + 1, min(first + size, 5) + 1)
        page = {
            "page": int(asked["page"]),
            "per_page": size,
            "total_results": 5,
            "url": "https://www.pexels.com/",
        }
        page["videos"] = [self._video(number) for number in numbers]
        return page | ({"next_page": self.server.url("/next")} if first + size < 5 else {})

    def _video(self, number: int) -> dict:
        sizes = {"hls": (None, None), "hd": (1920, 1080), "sd": (960, 540), "tiny": (426, 240)}
        files = [
            {
                "id": number,
                "quality": name,
                "file_type": "application/x-mpegURL" if name == "hls" else "video/mp4",
                "width": width,
                "height": height,
                "fps": 25.0,
                "link": self.server.url(f"/files/{number}-{name}.mp4"),
            }
            for name, (width, height) in sizes.items()
        ]
        user = {"id": 1, "name": "Ada", "url": "https://www.pexels.com/@ada"}
        url = f"https://www.pexels.com/video/sea-{number}/"
        return {"id": number, "url": url, "duration": 9, "user": user, "video_files": files, "tags": []}

    def search(self, **values) -> dict:
        return {"queries": ["sea"], "max_pages": 9, "base_url": self.server.url("/videos")} | values

    def paths(self, start: str) -> list[str]:
        return [path for path, _ in self.server.requests if path.startswith(start)]


@pytest.fixture
def api(serve, clip, monkeypatch) -> Api:
    monkeypatch.setenv("PEXELS_API_KEY", KEY)
    return Api(serve, clip)


def found(api, store, *, sleep=None, clock=None, policy=None, **values):
    injected = {"sleep": sleep or (lambda seconds: None)} | ({"clock": clock} if clock else {})
    search = PexelsSearch(**api.search(**values))
    return PexelsClient(search, policy or policy_for(api.server), store, "", **injected).videos()


def test_gate_holds_without_a_written_permission(store, api):
    manifest, sources, decisions = collect(store, servers=(api.server,), pexels=api.search())
    assert (manifest.counts.received, manifest.counts.dropped) == (5, 5)
    assert {(d.rule, d.value) for d in decisions.values()} == {("rights", "denied")}
    assert all("written permission" in decision.evidence for decision in decisions.values())
    assert (sources, api.paths("/files")) == ([], [])


def test_gate_holds_though_unknown_rights_may_pass(store, api):
    manifest, _, _ = collect(
        store, servers=(api.server,), pexels=api.search(), permissions=["allowed", "unknown"]
    )
    assert manifest.counts.dropped == 5


def test_gate_opens_with_a_written_permission_which_becomes_the_evidence(store, api):
    search = api.search(written_permission="letter of 2026-03-01, ref. 77")
    _, sources, _ = collect(store, servers=(api.server,), pexels=search)
    assert len(sources) == 5
    source = next(source for source in sources if source.name == "pexels-1.mp4")
    assert (source.ml_training, source.evidence) == ("allowed", "letter of 2026-03-01, ref. 77")
    assert (source.author, source.author_url) == ("Ada", "https://www.pexels.com/@ada")
    assert (source.source_url, source.origin) == ("https://www.pexels.com/video/sea-1/", "pexels")
    assert (source.licence_id, source.licence_url) == ("Pexels", "https://www.pexels.com/license/")
    assert sorted(api.paths("/files")) == [f"/files/{number}-sd.mp4" for number in range(1, 6)]


def test_search_says_what_was_asked_for(store, api):
    found(api, store, queries=["deep sea"], orientation="portrait", size="medium", per_page=2, max_pages=1)
    (path,) = api.paths("/videos")
    asked = parse_qs(urlsplit(path).query)
    assert asked == {
        "query": ["deep sea"],
        "page": ["1"],
        "per_page": ["2"],
        "orientation": ["portrait"],
        "size": ["medium"],
    }


def test_pages_end_at_the_last_or_at_the_limit(store, api):
    assert len(found(api, store, queries=["a"])) == 5
    assert len(api.paths("/videos")) == 3
    assert len(found(api, store, queries=["b"], max_pages=2)) == 4
    assert len(api.paths("/videos")) == 5


def test_video_that_two_searches_find_is_one_item(store, api):
    assert len(found(api, store, queries=["sea", "water"])) == 5


def test_answers_are_kept_so_that_a_run_after_a_failure_goes_on(store, api):
    found(api, store, max_pages=2)
    api.faults = [{"status": 500}] * 9
    with pytest.raises(UsageError, match="pages so far are kept"):
        found(api, store)
    api.faults = []
    before = len(api.paths("/videos"))
    assert len(found(api, store)) == 5
    assert len(api.paths("/videos")) == before + 1


def test_wait_that_the_api_asks_for_is_kept(store, api):
    waits = []
    api.faults = [{"status": 429, "retry_after": "4"}]
    assert len(found(api, store, sleep=waits.append)) == 5
    assert waits == [4.0]


def test_quota_that_is_used_up_is_waited_for_until_it_opens(store, api):
    waits = []
    api.remaining, api.reset = 1, 1_000_003
    assert len(found(api, store, sleep=waits.append, clock=lambda: 1_000_000.0, max_pages=2)) == 4
    assert waits == [3.0]


def test_quota_that_opens_too_late_ends_the_search_and_says_when_to_go_on(store, api):
    api.remaining, api.reset = 1, 1_007_200
    with pytest.raises(UsageError, match=r"used up for 2\.0 h"):
        found(api, store, clock=lambda: 1_000_000.0)


def test_key_is_asked_for_and_never_shown(store, api, monkeypatch):
    monkeypatch.delenv("PEXELS_API_KEY")
    with pytest.raises(UsageError, match="PEXELS_API_KEY"):
        found(api, store)
    assert api.server.requests == []
    monkeypatch.setenv("PEXELS_API_KEY", "wrong-key")
    with pytest.raises(UsageError, match="refused") as caught:
        found(api, store)
    assert "wrong-key" not in str(caught.value)


def test_key_goes_to_the_api_only(store, api):
    collect(store, servers=(api.server,), pexels=api.search(written_permission="letter"))
    keys = {path: headers.get("authorization") for path, headers in api.server.requests}
    assert all((key == KEY) == path.startswith("/videos") for path, key in keys.items())


def test_api_that_is_not_allowed_is_not_asked(store, api):
    with pytest.raises(UsageError, match="allowed_hosts"):
        found(api, store, policy=policy_for())
    assert api.server.requests == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"videos": [{"id": 1}]}'])
def test_answer_that_is_not_documented_is_a_usage_error(store, api, body):
    api.faults = [{"status": 200, "body": body}]
    with pytest.raises(UsageError, match="not what the API documents"):
        found(api, store)


def test_two_hundred_requests_pass_in_an_hour_and_no_more():
    now = [0.0]
    times = []
    pacer = Pacer(
        200, 3600.0, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)
    )
    for _ in range(650):
        pacer.wait()
        times.append(now[0])
        now[0] += 1.0
    for start in times:
        assert sum(start <= time < start + 3600.0 for time in times) <= 200
    assert times[199] == 199.0
    assert times[200] == 3600.0
