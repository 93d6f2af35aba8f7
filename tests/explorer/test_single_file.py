"""The single file: whole, quiet, deaf to what stands in its data."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest
from shown import HOSTILE, api_of, get, library_of, make_run

from veo_core.cli.main import main
from veo_core.explorer.bundle import write_report


class Page(HTMLParser):
    """Elements, attributes and scripts as a browser sees them."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data

    @property
    def content(self) -> dict:
        return json.loads(self.scripts[0], parse_constant=pytest.fail)


def page_of(run) -> Page:
    library = library_of(run.folder.parent, store=run.store)
    path = write_report(library.open("run-1"))
    assert path == run.folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("file"), text=HOSTILE).whole()
    run.write()
    return run


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


def test_file_holds_the_documents_that_the_server_gives(run, page):
    api, documents = api_of(run), page.content["documents"]
    for path in ("", "funnel", "training", "evaluation", "model"):
        served = json.loads(get(api, path).model_dump_json())
        assert documents[f"/api/runs/run-1/{path}".rstrip("/")] == served, path
    assert [document["id"] for document in documents["/api/runs"]["runs"]] == ["run-1"]
    assert documents["/api/runs"]["live"] is False
    for task in documents["/api/runs/run-1"]["tasks"]:
        assert documents[f"/api/runs/run-1/tasks/{task['index']}/log"]["text"]


def test_file_holds_generated_clips_and_pictures_of_the_footage(run, page):
    content = page.content
    for clip in content["documents"]["/api/runs/run-1/evaluation"]["clips"]:
        assert content["media"][clip["media"]].startswith("data:video/mp4;base64,")
        assert content["media"][clip["poster"]].startswith("data:image/jpeg;base64,")
        assert len(content["documents"][f"/api/runs/run-1/signals/{clip['id']}"]["motion"]) == 16
    rows = content["documents"]["/api/runs/run-1/clips"]["clips"]
    assert {row["rule"] for row in rows} == {"", "near_duplicate", HOSTILE}
    for row in rows:
        assert content["documents"][f"/api/runs/run-1/clips/{row['id']}"]["id"] == row["id"]
        if row["thumbnail"]:
            assert content["thumbs"][row["id"]].startswith("data:image/jpeg;base64,")
            played = base64.b64decode(content["media"][row["media"]].partition(",")[2])
            assert played[4:8] == b"ftyp"


def test_hostile_texts_are_data_and_nothing_else(page):
    loading = [tag for tag, _ in page.tags if tag in ("script", "img", "iframe", "object", "link")]
    assert loading == ["link", "script", "script"]
    assert not [found for _, found in page.tags if any(name.startswith("on") for name in found)]
    assert not [found for _, found in page.tags if found.keys() & {"src", "style"}]
    assert [found["href"] for _, found in page.tags if "href" in found] == ["data:,"]
    assert page.content["documents"]["/api/runs/run-1"]["record"]["platform"] == HOSTILE
    assert "<" not in page.scripts[0]


def test_policy_allows_nothing_but_what_is_inside(page):
    policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; media-src data: blob:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)


def test_file_is_the_same_for_the_same_run(run):
    page_of(run)
    first = (run.folder / "report.html").read_bytes()
    page_of(run)
    assert (run.folder / "report.html").read_bytes() == first


def test_file_holds_some_of_many_clips_and_says_so(tmp_path):
    run = make_run(tmp_path)
    run.task("collect", run.ledger_manifest("collect", run.clips(80), []))
    run.write()
    documents = page_of(run).content["documents"]
    fields = documents["/api/runs/run-1/clips/fields"]
    assert (fields["embedded"], fields["total"]) == (36, 80)
    assert "36 of 80 clips" in fields["notes"][0]
    assert documents["/api/runs/run-1/clips"]["total"] == 36


def test_file_of_a_run_whose_media_are_gone_says_what_is_missing(tmp_path):
    run = make_run(tmp_path).whole()
    run.write()
    for missing in (tmp_path / "store" / "objects").rglob("*.mp4"):
        missing.unlink()
    content = page_of(run).content
    assert any("is missing" in note for note in content["documents"]["/api/runs/run-1"]["notes"])
    assert "8 of 8 generated clips are not in this file" in str(
        content["documents"]["/api/runs/run-1/evaluation"]["notes"]
    )


@pytest.mark.parametrize("state", ["FAILED", "RUNNING"])
def test_file_of_an_unfinished_or_damaged_run_is_written(tmp_path, state):
    run = make_run(tmp_path, state=state)
    run.task("collect", state="FAILED", reason="exit code 1")
    record = run.write() / "run.json"
    assert page_of(run).content["documents"]["/api/runs/run-1"]["notices"]
    record.write_bytes(record.read_bytes()[:100])
    assert "damaged" in page_of(run).content["documents"]["/api/runs"]["runs"][0]["notes"][0]


def test_command_writes_the_file_where_it_is_told(run, tmp_path, capsys):
    out = tmp_path / "shown.html"
    arguments = ["--runs", str(run.folder.parent), "--root", run.store.root, "--out", str(out)]
    assert main(["report", "run", *arguments]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert Page(out.read_text(encoding="utf-8")).content["documents"]["/api/runs"]
