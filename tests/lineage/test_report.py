"""The report of synthetic runs: complete, self-contained, escaped, honest about what is not known."""

import re
from html.parser import HTMLParser

import pytest
from synthetic_run import EDGES

from veo_core.errors import UsageError
from veo_core.lineage.report import write_report

HOSTILE = "</script></style></svg><script>alert(1)</script><img src=x onerror=alert(2)>\"'&&lt;\u202e\x00 https://x.example/"


class Page(HTMLParser):
    """Elements and attributes as a browser sees them."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._skip = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._skip = tag if tag in ("style", "script") else ""

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self._skip = ""

    def handle_data(self, data):
        if not self._skip:
            self.text += data

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
            for name, found in self.tags
        )


def page_of(run) -> Page:
    return Page(write_report(run.folder, run.store).read_text(encoding="utf-8"))


def test_report_of_a_whole_run_shows_every_section(make_run):
    run = make_run().whole()
    run.write()
    page = page_of(run)
    sections = [found["id"] for tag, found in page.tags if tag == "section" and "id" in found]
    assert sections == [
        "clips",
        "evaluation",
        "safety",
        "model",
        "pipeline",
        "curation",
        "training",
        "record",
    ]
    anchors = {found["href"] for tag, found in page.tags if tag == "a"}
    assert {f"#{name}" for name in sections} <= anchors
    assert "not known" not in page.text.replace("Clips generatednot known", "")
    assert "world@1" in page.text
    assert "65.6 %" in page.text
    assert "48 – 80 %, n = 32, chance 4 %" in page.text


def test_report_contains_every_task_with_command_and_log(make_run):
    run = make_run().whole()
    run.write()
    page = page_of(run)
    for index, name in enumerate(EDGES):
        assert page.count("a", href=f"#task-{index}") == 1
        assert page.count("article", id=f"task-{index}") == 1
        assert f"veo_core.{name}" in page.text
        assert f"{name}: started" in page.text


def test_report_plays_every_generated_clip_from_its_own_bytes(make_run):
    run = make_run().whole()
    run.write()
    page = page_of(run)
    videos = [found for tag, found in page.tags if tag == "video" and "generated" in str(found["aria-label"])]
    assert len(videos) == 8
    assert all(found["src"].startswith("data:video/mp4;base64,") and "controls" in found for found in videos)
    assert all(found["poster"].startswith("data:image/jpeg;base64,") for found in videos)
    assert page.text.count("✕ left → right") == 3


def test_report_shows_why_a_registered_model_was_not_promoted(make_run):
    run = make_run().whole()
    run.write()
    page = page_of(run)
    assert "Against the version promoted before" in page.text
    assert "Not promoted: worse than world@3: a red circle moving left." in page.text
    assert "1 undecided" in page.text


def test_report_shows_why_clips_were_dropped(make_run):
    run = make_run().whole()
    run.write()
    page = page_of(run)
    assert "4 dropped: near_duplicate" in page.text
    assert "3 (limit 8)" in page.text
    dropped = [
        found for tag, found in page.tags if tag == "video" and "generated" not in str(found["aria-label"])
    ]
    assert len(dropped) == 4
    assert all(found["poster"].startswith("data:image/jpeg;base64,") for found in dropped)


def test_report_of_a_run_whose_gate_closed_says_why_nothing_was_registered(make_run):
    run = make_run(text="0.125, at least 0.05; 0.25 is needed")
    gate, _ = run.gate(approved=False)
    run.task("safety-evaluation", gate)
    run.write()
    page = page_of(run)
    assert "1 of 2 rules are not met" in page.text
    assert "✕following all, held out0.125, at least 0.05; 0.25 is needed" in page.text
    assert "the gate is closed" in page.text


def test_report_asks_no_server_for_anything(make_run):
    run = make_run().whole()
    run.write()
    source = write_report(run.folder, run.store).read_text(encoding="utf-8")
    page = Page(source)
    for _, attributes in page.tags:
        for name in ("src", "href", "poster", "action", "data", "srcset", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "http://" not in source
    assert "https://" not in source
    assert "@import" not in source
    assert "url(" not in source
    assert page.count("link") == page.count("iframe") == page.count("object") == 0
    policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")
    assert "unsafe-inline" not in policy


def test_report_shows_hostile_strings_as_text(make_run):
    run = make_run(text=HOSTILE).whole()
    run.task("</a><script>alert(3)</script>", reason=HOSTILE, component=HOSTILE, state="FAILED")
    run.write()
    page = page_of(run)
    assert page.count("script") == 1
    assert not [found for _, found in page.tags if any(name.startswith("on") for name in found)]
    assert page.count("img", src="x") == 0
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "\x00" not in page.text
    assert "\u202e" not in page.text


def test_report_of_a_failed_run_shows_the_failure_first(make_run):
    run = make_run(state="FAILED", text="ValueError: the loss is not finite")
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.task("prepare", state="FAILED", exit_code=1, reason="exit code 1")
    run.task("dedup", state="SKIPPED", started=None, finished=None, reason="prepare failed", exit_code=None)
    run.write()
    page = page_of(run)
    assert page.text.index("prepare failed: exit code 1") < page.text.index(
        "ValueError: the loss is not finite"
    )
    assert page.text.index("ValueError: the loss is not finite") < page.text.index("Clips kept")
    assert page.count("a", class_="node skipped") == 1
    assert page.text.count("not known") >= 5


@pytest.mark.parametrize(
    ("state", "words"), [("RUNNING", "no process is running it"), ("INTERRUPTED", "killed")]
)
def test_report_of_an_unfinished_run_says_so(make_run, state, words):
    run = make_run(state=state)
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.task("prepare", state="RUNNING", finished=None, exit_code=None)
    run.task("dedup", state="PENDING", started=None, finished=None, exit_code=None)
    run.write()
    page = page_of(run)
    assert words in page.text
    assert "1 succeeded, 1 running, 1 pending" in page.text
    assert page.count("a", class_="node running") == page.count("a", class_="node pending") == 1


def test_report_of_an_empty_run_says_what_is_not_known(make_run):
    run = make_run(state="RUNNING")
    run.write()
    page = page_of(run)
    assert page.text.count("not known") >= 6
    assert page.count("svg", class_="graph") == 0


def test_report_of_a_damaged_record_says_so(make_run):
    run = make_run().whole()
    record = run.write() / "run.json"
    record.write_bytes(record.read_bytes()[:1000])
    assert "run.json is damaged" in page_of(run).text


def test_report_with_an_altered_manifest_says_so_and_shows_the_rest(make_run):
    run = make_run().whole()
    run.write()
    path = run.folder / "artifacts" / "evaluate" / "manifest"
    path.write_bytes(path.read_bytes().replace(b'"rows":8', b'"rows":9'))
    page = page_of(run)
    assert "evaluate: its manifest was altered" in page.text
    assert page.count("section", id="clips") == 0
    assert page.count("section", id="curation") == 1


def test_report_with_a_missing_object_says_so_and_shows_the_rest(make_run):
    run = make_run().whole()
    run.write()
    for history in (run.folder.parents[1] / "store" / "objects").rglob("*.jsonl"):
        history.unlink()
    page = page_of(run)
    assert "is missing" in page.text
    assert page.count("section", id="clips") == 1


def test_report_does_not_read_logs_outside_the_run(make_run, tmp_path):
    (tmp_path / "secret.txt").write_text("canary-secret")
    run = make_run()
    run.task("collect", log="../../secret.txt")
    run.write()
    assert "canary-secret" not in page_of(run).text


def test_report_is_the_same_for_the_same_run(make_run):
    run = make_run().whole()
    run.write()
    first = write_report(run.folder, run.store).read_bytes()
    assert write_report(run.folder, run.store).read_bytes() == first


def test_report_of_a_missing_folder_is_a_usage_error(tmp_path, make_run):
    run = make_run()
    with pytest.raises(UsageError, match="no such run folder"):
        write_report(tmp_path / "none", run.store)
    with pytest.raises(UsageError, match=r"holds no run\.json"):
        write_report(tmp_path, run.store)


def test_report_ids_are_unique(make_run):
    run = make_run().whole()
    run.write()
    source = write_report(run.folder, run.store).read_text(encoding="utf-8")
    ids = re.findall(r' id="([^"]+)"', source)
    assert len(ids) == len(set(ids))


def test_report_of_a_run_that_ends_with_the_dataset_tells_its_size_and_of_no_model(make_run):
    run = make_run()
    package = run.ledger_manifest("package", run.clips(9), [])
    run.task("package", package.model_copy(update={"metrics": {"train_clips": 7.0, "validation_clips": 2.0}}))
    run.write()
    page = page_of(run)
    assert "Clips to train on7Clips held back2for validation" in page.text
    assert "Safety gate" not in page.text


def test_node_of_an_iteration_is_named_by_its_stage_and_number(make_run):
    run = make_run()
    run.task("for-loop-1/3/prepare-part", component="prepare-part")
    run.write()
    assert "prepare-part 3" in page_of(run).text
