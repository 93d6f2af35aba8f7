"""The explorer in headless Chromium: what a reader sees, and can do with keys, pointer and sound."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shown import HOSTILE, api_of, library_of, make_run
from synthetic_run import EDGES, SyntheticRun

from veo_core.explorer.bundle import write_report
from veo_core.explorer.results import VotesDocument
from veo_core.train.events import EventLog, Samples

browsing = pytest.importorskip("benchmarks.browsing", reason="needs playwright")
from playwright.sync_api import expect  # noqa: E402

pytestmark = pytest.mark.skipif(browsing.CHROMIUM is None, reason="no Chromium is installed")

PLACES = {
    "runs": "",
    "pipeline": "run/run-1",
    "task": "run/run-1/task/2",
    "funnel": "run/run-1/funnel",
    "clips": "run/run-1/clips",
    "story": f"run/run-1/clips/{'01' * 32}",
    "dropped story": f"run/run-1/clips/{'09' * 32}",
    "training": "run/run-1/training",
    "scores": "run/run-1/evaluation",
    "generated": "run/run-1/evaluation?view=clips",
    "safety": "run/run-1/evaluation?view=safety",
    "model": "run/run-1/model",
    "difference": "compare/run-1/run-2",
    "side by side": "compare/run-1/run-2/clips",
    "vote": "compare/run-1/run-2/vote",
}
PLAYED = """video => new Promise((resolve, reject) => {
  const seen = () => video.currentTime > 0.2 && resolve({
    muted: video.muted, audio: video.webkitAudioDecodedByteCount > 0});
  video.addEventListener("timeupdate", seen);
  video.addEventListener("error", () => reject(video.error.message));
  setTimeout(() => reject("it does not play"), 20_000);
  seen();
})"""


def two_runs(folder: Path, **fields: object) -> Any:
    """A finished run, and a second one like it, over one store."""
    run = make_run(folder, **fields).whole()
    run.write()
    second = folder / "runs" / "run-2"
    second.mkdir()
    SyntheticRun(second, run.store, **fields).whole().write()
    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Any:
    return two_runs(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def address(run) -> Iterator[str]:
    with browsing.serving(api_of(run)) as url:
        yield url


@pytest.fixture
def visit(browser, address) -> Iterator[Any]:
    """A reader's window; the test fails on whatever the browser complains of."""
    with browsing.Visit(browser, address) as opened:
        yield opened
    assert opened.problems == []


def findings(page: Any) -> list[str]:
    """What axe finds on a page that is serious for people who cannot see or point well."""
    axe = pytest.importorskip("axe_playwright_python", reason="needs axe")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize(("size", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "light")])
def test_every_page_is_shown_fits_and_is_accessible(browser, address, size, theme):
    with browsing.Visit(browser, address, size=size, theme=theme) as visit:
        for name, place in PLACES.items():
            page = visit.go(place)
            expect(page.get_by_role("heading").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            if size == "wide":
                assert findings(page) == [], name
    assert visit.problems == []


def test_task_chosen_in_the_graph_shows_inputs_outputs_and_log(visit):
    page = visit.go("run/run-1")
    page.get_by_role("link", name="dedup: succeeded").click()
    task = page.get_by_role("region", name="Task dedup")
    expect(task).to_contain_text("4 dropped")
    expect(task.get_by_label("Log", exact=True)).to_contain_text("dedup: started")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("region", name="Task package")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Record")).to_be_visible()


def test_flow_of_the_funnel_leads_to_its_clips(visit):
    page = visit.go("run/run-1/funnel")
    page.get_by_role("link", name="dedup: 4 clips dropped: near duplicate").click()
    expect(page.get_by_role("status")).to_contain_text("4 of")
    expect(page.get_by_role("listitem")).to_have_count(4)


def test_gallery_is_worked_by_keys(visit):
    page = visit.go("run/run-1/clips")
    page.keyboard.press("/")
    page.keyboard.type("-3.mp4")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_label("Search clips").fill("")
    page.get_by_role("checkbox", name="dropped").check()
    expect(page.get_by_role("listitem")).to_have_count(4)
    page.get_by_role("listitem").first.get_by_role("button").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    story = page.get_by_role("complementary", name="A clip's story")
    expect(story).to_contain_text("dropped by dedup: near duplicate 3 (limit 8)")
    first = story.get_by_role("heading").first.inner_text()
    page.keyboard.press("j")
    expect(story.get_by_role("heading").first).not_to_have_text(first)
    page.keyboard.press("Escape")
    expect(story).to_be_hidden()
    assert "where=" in page.url  # a link to what is seen


def test_clip_plays_with_sound_under_the_pointer(visit):
    page = visit.go("run/run-1/clips")
    page.get_by_role("button", name="Sound off").click()
    page.get_by_role("listitem").first.hover()
    assert page.locator(".clip-card video").evaluate(PLAYED) == {"muted": False, "audio": True}
    page.mouse.move(0, 0)
    expect(page.locator(".clip-card video")).to_have_count(0)


def test_clip_stays_still_under_the_pointer_where_less_motion_is_wanted(visit):
    visit.page.emulate_media(reduced_motion="reduce")
    page = visit.go("run/run-1/clips")
    page.get_by_role("listitem").first.hover()
    page.get_by_role("listitem").first.get_by_role("button").focus()
    page.keyboard.press("Space")
    assert page.locator(".clip-card video").evaluate(PLAYED)["muted"]


def test_generated_clip_shows_what_was_seen_and_heard_over_time(visit):
    page = visit.go("run/run-1/evaluation?view=clips")
    page.get_by_role("button", name="wrong", exact=True).click()
    wrong = page.locator(".made-card")
    expect(wrong).to_have_count(4)
    wrong.first.click()
    panel = page.get_by_role("complementary", name="A generated clip")
    expect(panel.locator(".timeline .wave")).to_have_attribute("d", re.compile("^M.+Z$"))
    panel.locator(".timeline").click(position={"x": 100, "y": 20})
    assert panel.locator("video").evaluate("video => video.currentTime") > 0


def test_samples_of_a_training_are_seen_and_heard(browser, tmp_path):
    run = make_run(tmp_path)
    log = EventLog(run.store, "key/events.tfevents", 0)
    rng = np.random.default_rng(0)
    for step in (10, 20):
        pictures = rng.integers(0, 255, (2, 5, 16, 16, 3), dtype=np.uint8)
        sounds = rng.uniform(-1, 1, (2, 8000)).astype(np.float32)
        log.samples(step, Samples(pictures, sounds, 8000), time=float(step))
    log.flush()
    trained = run.trained("base")
    events = run.store.put_bytes(run.store.get_mark("key/events.tfevents"), ".tfevents")
    run.task("train-base", trained.model_copy(update={"files": {**trained.files, "tensorboard": events}}))
    run.write()
    with browsing.serving(api_of(run)) as url, browsing.Visit(browser, url) as visit:
        page = visit.go("run/run-1/training")
        films = page.get_by_role("region", name="Samples by step").get_by_role("img")
        expect(films).to_have_count(4)
        assert films.first.evaluate("async film => { await film.decode(); return film.naturalWidth }") == 16
        page.get_by_role("button", name="Hear Sample 2 at step 20").click()
        expect(page.get_by_role("button", name="Stop Sample 2 at step 20")).to_be_visible()
        expect(page.get_by_role("button", name="Hear Sample 2 at step 20")).to_be_visible()  # it ended
    assert visit.problems == []


def test_grid_of_thousands_of_clips_draws_those_in_view(browser, tmp_path):
    run = make_run(tmp_path)
    run.task("collect", run.ledger_manifest("collect", many(run, 3_000), []))
    run.write()
    with browsing.serving(api_of(run)) as url, browsing.Visit(browser, url) as visit:
        page = visit.go("run/run-1/clips")
        expect(page.get_by_role("status")).to_contain_text("3,000 clips")
        page.get_by_role("listitem").first.get_by_role("button").focus()
        page.keyboard.press("End")
        expect(page.locator("[data-index='2999']")).to_be_focused()
        expect(page.locator("[data-index='2999']")).to_contain_text("kept")
        assert page.locator("[data-index='0']").count() == 0
        assert page.locator("*").count() < 1_500
    assert visit.problems == []


def many(run: SyntheticRun, count: int) -> list[Any]:
    """That many clips with ids of their own."""
    (clip,) = run.clips(1)
    return [clip.model_copy(update={"clip_id": f"{number:064x}"}) for number in range(1, count + 1)]


def test_two_players_follow_one_scrubber_and_the_wipe(visit):
    page = visit.go("compare/run-1/run-2/clips")
    first, second = page.get_by_label("Clip of A"), page.get_by_label("Clip of B")
    page.get_by_label("Time of both").fill("1")
    for film in (first, second):
        expect(film).to_have_js_property("currentTime", 1)
    page.get_by_role("button", name="Hear B").click()
    page.get_by_role("button", name="Play both").click()
    assert second.evaluate(PLAYED)["muted"] is False
    assert first.evaluate("video => video.muted")
    page.keyboard.press("Space")
    apart = "([a, b]) => Math.abs(a.currentTime - b.currentTime)"
    assert page.locator("video").evaluate_all(apart) < 0.3
    page.get_by_role("button", name="Wipe").click()
    page.get_by_label("Edge between A and B").fill("20")
    assert page.locator(".films figure").nth(1).evaluate("f => f.style.clipPath") == "inset(0px 0px 0px 20%)"


def test_vote_is_blind_and_counts(visit, address):
    page = visit.go("compare/run-1/run-2/vote")
    assert "run-1" not in page.get_by_role("main").inner_text()
    for number, key in enumerate(("a", "b", "t"), start=1):
        expect(page.get_by_role("region", name="Blind vote")).to_contain_text(f"{number} of 8")
        page.keyboard.press(key)
    expect(page.get_by_role("region", name="Blind vote")).to_contain_text("4 of 8")
    page.get_by_role("button", name="Show the result").click()
    expect(page.get_by_role("status")).to_contain_text("3 votes")
    saved = VotesDocument.model_validate_json(
        visit.page.request.get(f"{address}api/votes/run-1/run-2").body()
    )
    assert (saved.votes, saved.ties, saved.wins_a + saved.wins_b) == (3, 1, 2)


def test_two_chosen_runs_are_compared(visit):
    page = visit.go("")
    for name in ("run-1", "run-2"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("region", name="Run A")).to_contain_text("run-")
    expect(page.get_by_text("Exchange the two")).to_be_visible()


def test_reader_chooses_the_colours(visit):
    page = visit.go("run/run-1")
    page.get_by_role("button", name="Colours: system; choose light").click()
    page.get_by_role("button", name="Colours: light; choose dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    visit.settle()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark == "rgb(15, 18, 23)"


def test_single_file_shows_the_run_and_asks_nobody(browser, run, tmp_path):
    library = library_of(run.folder.parent, store=run.store)
    file = write_report(library.open("run-1"), tmp_path / "report.html")
    with browsing.Visit(browser, file.as_uri()) as visit:
        page = visit.go("run/run-1/clips")
        page.get_by_role("checkbox", name="dropped").check()
        expect(page.get_by_role("listitem")).to_have_count(4)
        page.get_by_role("listitem").first.get_by_role("button").click()
        assert page.locator(".story-video").evaluate(PLAYED)["audio"]
        for place in ("", "funnel", "training", "evaluation", "evaluation?view=clips", "model", "task/0"):
            visit.go(f"run/run-1/{place}".rstrip("/"))
        page.goto("about:blank")
        page.goto(file.as_uri())
        expect(page.get_by_role("heading", name="run-1")).to_be_visible()  # the only run opens by itself
    assert visit.problems == []


def test_running_page_follows_the_run(browser, tmp_path):
    run = make_run(tmp_path, state="RUNNING")
    run.task("collect", run.ledger_manifest("collect", run.clips(3), []))
    run.task("prepare", state="RUNNING", finished=None, exit_code=None)
    run.write()
    with browsing.serving(api_of(run, alive=True)) as url, browsing.Visit(browser, url) as visit:
        page = visit.go("run/run-1")
        expect(page.get_by_role("link", name="prepare: running")).to_be_visible()
        run.tasks[1] = run.tasks[1].model_copy(
            update={"state": "FAILED", "exit_code": 1, "reason": "exit code 1"}
        )
        run.state = "FAILED"
        run.write()
        expect(page.get_by_role("region", name="What went wrong")).to_contain_text(
            "prepare failed", timeout=20_000
        )
    assert visit.problems == []


@pytest.mark.parametrize("state", ["interrupted", "damaged", "objects missing"])
def test_run_in_any_state_says_what_is_not_known(browser, tmp_path, state):
    run = make_run(tmp_path, state="RUNNING" if state == "interrupted" else "SUCCEEDED").whole()
    record = run.write() / "run.json"
    if state == "damaged":
        record.write_bytes(record.read_bytes()[:1000])
    if state == "objects missing":
        for path in (tmp_path / "store" / "objects").rglob("*"):
            if path.suffix in (".mp4", ".jpg", ".jsonl"):
                path.unlink()
    told = {
        "interrupted": "its runner was killed",
        "damaged": "run.json is damaged",
        "objects missing": "missing",
    }
    with browsing.serving(api_of(run)) as url, browsing.Visit(browser, url) as visit:
        page = visit.go("run/run-1/training" if state == "objects missing" else "run/run-1")
        expect(page.get_by_role("main")).to_contain_text(told[state])
        for place in ("funnel", "clips", "evaluation", "model"):
            visit.go(f"run/run-1/{place}")
    lost = [problem for problem in visit.problems if "404" not in problem]
    assert lost == []


def test_hostile_texts_are_shown_as_text(browser, tmp_path):
    run = two_runs(tmp_path, text=HOSTILE)
    library = library_of(run.folder.parent, store=run.store)
    file = write_report(library.open("run-1"), tmp_path / "report.html")
    with browsing.serving(api_of(run)) as url:
        for address in (url, file.as_uri()):
            with browsing.Visit(browser, address) as visit:
                for place in PLACES.values():
                    if address == url or place.startswith("run/"):
                        page = visit.go(place)
                        assert (
                            page.locator("img[src='x'], script:not([src]):not([type]) ~ script").count() == 0
                        )
                        assert "\u202e" not in page.get_by_role("main").inner_text()
                page = visit.go("run/run-1/evaluation?view=clips")
                expect(page.locator(".made-prompt").first).to_contain_text(
                    "</script></style><script>alert(1)</script>"
                )
            assert visit.problems == []


def test_pages_of_a_run_are_reached_by_number(visit):
    page = visit.go("run/run-1")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Where clips went")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_pipeline_page_links_every_task(visit):
    page = visit.go("run/run-1")
    for name in EDGES:
        expect(page.get_by_role("link", name=f"{name}: succeeded")).to_be_visible()
