"""Collecting from lists of URLs, over real HTTP."""

import csv
import datetime
import json

import pytest
from collecting import ALLOWED, collect
from serving import file_server, policy_for

from veo_core.cli.footage import footage_section
from veo_core.errors import UsageError
from veo_core.sources.renditions import Rendition, choose


@pytest.fixture
def write(tmp_path):
    """Write rows as a JSONL or CSV list; gives its path."""

    def write(*rows: dict, name: str = "list.jsonl") -> str:
        path = tmp_path / name
        with path.open("w", newline="") as file:
            if name.endswith(".csv"):
                table = csv.DictWriter(file, sorted({key for row in rows for key in row}))
                table.writeheader()
                table.writerows(rows)
            else:
                file.writelines(f"{json.dumps(row)}\n" for row in rows)
        return str(path)

    return write


@pytest.fixture
def media(serve, clip):
    return serve(file_server(clip.read_bytes()))


def row(url: str, **said) -> dict:
    return {"url": url} | ALLOWED | said


@pytest.mark.parametrize("name", ["list.jsonl", "list.csv"])
def test_row_becomes_a_source_with_everything_that_is_said(store, media, clip, write, name):
    said = {
        "author": "Ada",
        "author_url": "https://ada.test/",
        "licence_url": "https://cc.test/0",
        "transcript": "Hello.",
        "caption": "a circle",
        "source_url": "https://ada.test/video?id=7",
    }
    place = write(row(media.url("/a.mp4"), **said), name=name)
    _, (source,), _ = collect(store, servers=(media,), url_list=place)
    assert store.get_bytes(source.file) == clip.read_bytes()
    assert {key: getattr(source, key) for key in said} == said
    assert (source.origin, source.name) == ("list", f"{media.host}/a.mp4")
    assert (source.ml_training, source.evidence) == ("allowed", "source page")
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(source.retrieved_at)
    assert datetime.timedelta(0) <= age + datetime.timedelta(seconds=1) < datetime.timedelta(hours=1)


@pytest.mark.parametrize("rights", ["denied", "unknown", None])
def test_row_without_permission_is_dropped_before_a_byte_is_asked_for(store, media, write, rights):
    said = {"ml_training": rights} if rights else {}
    place = write({"url": media.url("/a.mp4"), "evidence": "terms"} | said)
    _, sources, decisions = collect(store, servers=(media,), url_list=place)
    (decision,) = decisions.values()
    assert (sources, media.requests) == ([], [])
    assert (decision.verdict, decision.rule, decision.value) == ("dropped", "rights", rights or "unknown")


def test_one_bad_url_costs_one_item_and_says_no_secret(store, serve, clip, write):
    good = file_server(clip.read_bytes())
    server = serve(lambda request: good(request) if "good" in request.path else request.reply(404))
    place = write(
        row(server.url("/good.mp4")),
        row(server.url("/gone.mp4?token=top-secret")),
        row("not a url?token=top-secret", name="broken"),
        row("https://elsewhere.test/a.mp4?token=top-secret"),
    )
    manifest, sources, decisions = collect(store, servers=(server,), url_list=place)
    assert (manifest.counts.kept, manifest.counts.failed) == (1, 3)
    failed = [decision for decision in decisions.values() if decision.verdict == "failed"]
    assert {decision.rule for decision in failed} == {"download"}
    everything = " ".join(d.model_dump_json() for d in decisions.values()) + sources[0].model_dump_json()
    assert "top-secret" not in everything


def test_query_of_the_url_is_not_recorded(store, media, write):
    place = write(row(media.url("/a.mp4?signature=top-secret")))
    _, (source,), _ = collect(store, servers=(media,), url_list=place)
    assert source.source_url == media.url("/a.mp4")
    assert media.requests[0][0] == "/a.mp4?signature=top-secret"


def test_what_is_no_video_is_refused_and_not_stored(store, serve, write, tmp_path, clip):
    data = clip.read_bytes()
    broken = data[:4] + b"ftyp" + bytes(len(data) - 8)
    bodies = {"/page.mp4": b"<html>" * 100, "/broken.mp4": broken}
    server = serve(lambda request: request.reply(200, bodies[request.path], content_type="video/mp4"))
    place = write(*(row(server.url(path)) for path in bodies))
    _, sources, decisions = collect(store, servers=(server,), url_list=place)
    assert [decision.rule for decision in decisions.values()] == ["undecodable"] * 2
    assert sources == []
    assert not list((tmp_path / "store").rglob("*.mp4"))


def test_file_above_the_limit_is_dropped_with_both_figures(store, media, clip, write):
    place = write(row(media.url()))
    _, _, decisions = collect(store, servers=(media,), url_list=place, max_bytes=1000)
    (decision,) = decisions.values()
    size = len(clip.read_bytes())
    assert (decision.verdict, decision.rule) == ("dropped", "over_sized")
    assert (decision.value, decision.threshold) == (str(size), "1000")


def test_smallest_rendition_that_is_large_enough_is_downloaded(store, media, write):
    sizes = {"4k": (3840, 2160), "hd": (1280, 720), "sd": (960, 540), "ld": (640, 360)}
    rows = [
        row(media.url(f"/{name}.mp4"), name="one video", width=width, height=height)
        for name, (width, height) in sizes.items()
    ]
    manifest, _, _ = collect(store, servers=(media,), url_list=write(*rows, name="list.csv"))
    assert manifest.counts.received == 1
    assert [path for path, _ in media.requests] == ["/sd.mp4"]


def test_largest_rendition_is_taken_where_none_is_large_enough():
    files = [Rendition(url=str(side), width=side, height=side) for side in (100, 300, 200)]
    assert choose(files, 512).url == "300"
    assert choose(files, 150).url == "200"
    assert choose([Rendition(url="unknown")], 512).url == "unknown"


def test_second_run_downloads_nothing_and_gives_the_same_manifest(store, media, write):
    place = write(row(media.url("/a.mp4")), row(media.url("/b.mp4"), name="b"))
    first, _, _ = collect(store, servers=(media,), url_list=place)
    again, _, _ = collect(store, servers=(media,), url_list=place, key="other", workers=2)
    assert again == first
    assert len(media.requests) == 2


def test_new_revision_downloads_anew_and_keeps_the_ids(store, media, write):
    place = write(row(media.url("/a.mp4")))
    _, (first,), _ = collect(store, servers=(media,), url_list=place, revision="1")
    _, (again,), _ = collect(store, servers=(media,), url_list=place, revision="2", key="other")
    assert len(media.requests) == 2
    assert first.source_id == again.source_id


@pytest.mark.parametrize("by", ["source", "content"])
def test_forgotten_footage_stays_out_for_ever(store, media, clip, write, by):
    place = write(row(media.url("/a.mp4")))
    _, (source,), _ = collect(store, servers=(media,), url_list=place)
    store.set_mark(f"forgotten/{source.source_id if by == 'source' else source.file.sha256}", b"asked to")
    asked = len(media.requests)
    for key, revision in (("other", "2"), ("third", "")):
        _, sources, decisions = collect(store, servers=(media,), url_list=place, key=key, revision=revision)
        assert sources == []
        assert [decision.rule for decision in decisions.values()] == ["forgotten"]
    assert len(media.requests) == asked + (by == "content")


def test_opt_out_in_a_downloaded_file_drops_it_and_the_claim_is_on_record(
    store, serve, clip, signer, tmp_path, write
):
    signer.sign(clip, tmp_path / "no.mp4", "c2pa.training-mining", ai_training="notAllowed")
    signer.sign(clip, tmp_path / "yes.mp4")
    server = serve(lambda request: file_server((tmp_path / request.path.strip("/")).read_bytes())(request))
    place = write(row(server.url("/no.mp4"), name="no"), row(server.url("/yes.mp4"), name="yes"))
    _, (source,), decisions = collect(store, servers=(server,), url_list=place)
    assert (decisions["no"].verdict, decisions["no"].rule) == ("dropped", "c2pa_opt_out")
    assert decisions["no"].value == "c2pa.training-mining: c2pa.ai_training=notAllowed"
    assert "Camera Test" in decisions["no"].evidence
    assert (source.name, source.credentials.issuer) == ("yes", "Camera Test")
    assert len(list((tmp_path / "store").rglob("*.mp4"))) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"caption": "no url"}], "line 1: there is no `url`"),
        ([row("https://a.test/1"), row("https://a.test/2", ml_training="perhaps")], "line 2: ml_training"),
        ([row("https://a.test/1", licence="x")], "unknown key 'licence'; did you mean 'licence_id'"),
        (
            [row("https://a.test/1", name="n"), row("https://a.test/2", name="n", author="x")],
            "something else",
        ),
        ([], "lists no video"),
    ],
)
def test_row_that_does_not_fit_is_named_with_its_line(store, write, rows, message):
    with pytest.raises(UsageError, match=message):
        collect(store, url_list=write(*rows), download=policy_for(allowed_hosts=["a.test"]))


@pytest.mark.parametrize("name", ["list.txt", "none.csv"])
def test_list_that_cannot_be_read_is_a_usage_error(store, tmp_path, name):
    (tmp_path / "list.txt").write_text("https://a.test/1")
    with pytest.raises(UsageError, match="list"):
        collect(store, url_list=str(tmp_path / name), download=policy_for(allowed_hosts=["a.test"]))


def test_list_is_footage_of_a_run_with_a_revision_that_changes_with_it(write):
    place = write(row("https://a.test/1"))
    first = footage_section(place)
    assert (first["url_list"], first["world"]) == (place, None)
    assert first == footage_section(place)
    write(row("https://a.test/1", author="Ada"))
    assert footage_section(place)["revision"] != first["revision"]


def test_nothing_is_downloaded_until_hosts_are_named(store, write):
    with pytest.raises(UsageError, match="allowed_hosts"):
        collect(store, url_list=write(row("https://a.test/1")), download=policy_for())
