"""The pages that platforms show, in headless Chromium within the sandbox that Kubeflow Pipelines uses."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "curate"))
sys.path.append(str(Path(__file__).parents[1] / "lineage"))

from packing import make_clips, pack
from synthetic_run import SyntheticRun, clip_bytes

from veo_core import markdown
from veo_core.curate import pages as dataset
from veo_core.evaluate import pages as evaluation
from veo_core.evaluate.records import ConfusionRow, EvaluationSummary, SummaryRow
from veo_core.html import text
from veo_core.media.encode import encode
from veo_core.records.files import FileRef
from veo_core.records.ledger import Outcome
from veo_core.records.manifest import Manifest
from veo_core.safety import pages as safety
from veo_core.storage import Store
from veo_core.train import pages as training
from veo_core.views.gallery import Card, gallery
from veo_core.views.page import LIMIT, page

sync_api = pytest.importorskip("playwright.sync_api")
browsing = pytest.importorskip("benchmarks.browsing", reason="needs playwright")
needs_chromium = pytest.mark.skipif(browsing.CHROMIUM is None, reason="no Chromium is installed")
HOSTILE = (
    "</script></style></svg><script>alert(1)</script><img src=https://x.example/i onerror=alert(2)>\u202e\x00"
)
AS_TEXT = "</script></style></svg><script>alert(1)</script>"
PLAYED = """video => new Promise((resolve, reject) => {
  const seen = () => video.currentTime > 0.2 && resolve({
    width: video.videoWidth, muted: video.muted, audio: video.webkitAudioDecodedByteCount > 0});
  video.addEventListener("timeupdate", seen);
  video.addEventListener("error", () => reject(video.error.message));
})"""
STORAGE = "(() => { try { return localStorage.length } catch { return 'none' } })()"
TABS = {
    "dataset": ["Clips", "Funnel", "Shapes"],
    "training": ["Curves", "Figures", "Files"],
    "evaluation": ["Clips", "Scores"],
    "safety": ["Gate", "Figures"],
}


def packed(store: Store) -> Manifest:
    """A dataset of 30 clips that play, with hostile captions."""
    media = store.put_bytes(clip_bytes(), ".mp4")
    clips = [clip.model_copy(update={"media": media}) for clip in make_clips(store, 30)]
    clips = [
        clip.model_copy(update={"annotation": clip.annotation.model_copy(update={"caption": HOSTILE})})
        for clip in clips
    ]
    lost = Outcome(stage="quality_filter", verdict="dropped", rule=HOSTILE, items=3)
    return pack(store, clips, {"funnel": store.put_table([lost], Outcome)}).manifest


def measured(run: SyntheticRun) -> Manifest:
    """An evaluation of 26 clips."""
    manifest = run.evaluation(26)
    rows = run.store.get_table(manifest.tables["summary"], SummaryRow)
    summary = EvaluationSummary(generated="a" * 64, dataset="b" * 64, rows=rows)
    confusion = run.store.put_table([], ConfusionRow)
    return manifest.model_copy(
        update={
            "tables": manifest.tables | {"confusion": confusion},
            "files": {"summary": run.store.put_bytes(summary.to_bytes(), ".json")},
        }
    )


def drawn(folder: Path) -> dict[str, bytes]:
    """Every page, and every note in Markdown, of stages whose texts are hostile."""
    store = Store(str(folder / "store"))
    run = SyntheticRun(folder, store, text=HOSTILE)
    gate, _ = run.gate(approved=False)
    found = {}
    for name, views, manifest in (
        ("dataset", dataset.VIEWS, packed(store)),
        ("training", training.VIEWS, run.trained("base")),
        ("evaluation", evaluation.VIEWS, measured(run)),
        ("safety", safety.VIEWS, gate),
    ):
        found[name] = views["html"](manifest, store).content
        if "markdown" in views:
            found[f"{name} note"] = views["markdown"](manifest, store).content
    return found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.chromium(autoplay="user-gesture-required") as launched:
        yield launched


def _beyond_the_page(url: str) -> list[str]:
    return [] if url.startswith("data:") or url == "about:srcdoc" else [url]


_LOAD = """text => {
  const frame = document.querySelector('iframe');
  frame.onload = () => { frame.dataset.loaded = '' };
  frame.srcdoc = text;
}"""


@pytest.fixture
def show(browser: Any) -> Iterator[Any]:
    """Put a page into a platform's frame; the test fails on any error, message, dialog or request."""
    context = browser.new_context(viewport={"width": 900, "height": 700}, color_scheme="dark")
    host = context.new_page()
    problems: list[str] = []
    host.on("console", lambda message: problems.append(message.text))
    host.on("pageerror", lambda error: problems.append(str(error)))
    host.on("dialog", lambda dialog: problems.append(dialog.message))
    host.on("request", lambda request: problems.extend(_beyond_the_page(request.url)))

    def put(content: bytes) -> Any:
        host.set_content("<iframe sandbox='allow-scripts' style='width: 100%; height: 680px'></iframe>")
        host.evaluate(_LOAD, content.decode())
        host.locator("iframe[data-loaded]").wait_for()
        return host.frames[-1]

    yield put
    context.close()
    assert problems == []


@needs_chromium
@pytest.mark.parametrize("name", TABS)
def test_page_shows_one_tab_at_a_time_by_mouse_and_keyboard(pages, show, name):
    frame = show(pages[name])
    tabs, panels = frame.get_by_role("tab"), frame.locator("main > section")
    assert tabs.all_inner_texts() == TABS[name]
    tabs.last.click()
    assert [panel.is_visible() for panel in panels.all()] == [*[False] * (len(TABS[name]) - 1), True]
    assert panels.last.get_attribute("role") == "tabpanel"
    frame.page.keyboard.press("ArrowRight")  # round to the first
    assert frame.evaluate("document.activeElement.textContent") == TABS[name][0]
    assert [tab.get_attribute("aria-selected") for tab in tabs.all()] == [
        "true", *["false"] * (len(TABS[name]) - 1),
    ]  # fmt: skip
    for key, index in (("End", -1), ("ArrowLeft", -2), ("Home", 0)):
        frame.page.keyboard.press(key)
        assert panels.all()[index].is_visible()


@needs_chromium
@pytest.mark.parametrize("name", ["dataset", "evaluation"])
def test_clips_play_with_sound_one_at_a_time_within_the_sandbox(pages, show, name):
    frame = show(pages[name])
    assert frame.evaluate("window.origin") == "null"
    assert frame.evaluate(STORAGE) == "none"
    assert frame.locator("video").count() == 24
    assert frame.evaluate("[...document.querySelectorAll('[poster]')].length") == 24
    first, second = frame.locator("video").nth(0), frame.locator("video").nth(1)
    frame.get_by_role("button", name=re.compile("^Play ")).first.click()
    assert first.evaluate(PLAYED) == {"width": 64, "muted": False, "audio": True}
    assert first.evaluate("video => video.controls")
    frame.get_by_role("button", name=re.compile("^Play ")).first.click()
    second.evaluate(PLAYED)
    assert first.evaluate("video => video.paused")
    frame.get_by_role("tab").last.click()
    assert second.evaluate("video => video.paused")


@needs_chromium
@pytest.mark.parametrize(("name", "tab"), [("dataset", 0), ("dataset", 1), ("evaluation", 0), ("safety", 0)])
def test_markup_in_captions_rules_and_reasons_is_shown_as_text(pages, show, name, tab):
    frame = show(pages[name])
    frame.get_by_role("tab").nth(tab).click()
    shown = frame.locator("main").inner_text()
    assert AS_TEXT in shown
    assert "\u202e" not in shown
    assert frame.locator("script").count() == 1
    assert frame.locator("img").count() == 0


@needs_chromium
def test_page_without_clips_has_no_tab_for_them(show):
    sections = {"Clips": gallery([], None, of=0), "Note": text("nothing was made")}
    frame = show(page("Nothing", "no clips", sections).content)
    assert frame.get_by_role("tab").count() == 0  # one section needs no tabs
    assert frame.locator("main").inner_text() == "nothing was made"


def test_equal_inputs_give_equal_pages(pages, tmp_path):
    assert drawn(tmp_path) == pages


def test_notes_show_markup_as_text(pages):
    assert markdown.text("![x](https://x.example/i) *a* `b` _c_ d_e | <i>") == (
        "!\\[x\\](https://x.example/i) \\*a\\* \\`b\\` \\_c\\_ d_e \\| &lt;i&gt;"
    )
    for name in ("dataset note", "evaluation note", "safety note"):
        note = pages[name].decode()
        assert "<script>" not in note
        assert "\u202e" not in note
        assert "| --- |" in note


def noise(folder: Path, cell: int, *, width: int, height: int, frames: int, fps: float) -> bytes:
    """A clip with sound that compresses badly: grain of so many pixels over a gradient that moves."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 200, width + frames, dtype=np.float32)
    pictures = np.empty((frames, height, width, 3), np.uint8)
    for t in range(frames):
        grain = rng.integers(0, 24, (height // cell, width // cell)).repeat(cell, 0).repeat(cell, 1)
        pictures[t] = (slope[t : t + width] + grain)[..., None]
    sound = rng.normal(0, 0.2, (2, round(frames / fps * 48_000))).astype(np.float32)
    path = folder / "grain.mp4"
    encode(path, pictures, fps=fps, audio=sound)
    return path.read_bytes()


def page_of(clip: FileRef, store: Store) -> bytes:
    cards = [Card(clip, f"clip {number}") for number in range(24)]
    return page("Clips", "24 clips", {"Clips": gallery(cards, store, of=24)}).content


@needs_chromium
def test_clips_too_large_for_the_page_become_smaller_copies_that_play(tmp_path, show):
    store = Store(str(tmp_path / "store"))
    clip = noise(tmp_path, 1, width=320, height=180, frames=12, fps=12)
    assert len(clip) * 4 // 3 * 24 > LIMIT
    content = page_of(store.put_bytes(clip, ".mp4"), store)
    assert len(content) < LIMIT
    frame = show(content)
    assert frame.get_by_text("smaller copy").count() == 24
    frame.get_by_role("button", name="Play clip 7", exact=True).click()
    played = frame.locator("video").nth(7).evaluate(PLAYED)
    assert played["width"] <= 320
    assert played["audio"]


@pytest.mark.slow
@needs_chromium
def test_page_of_24_clips_of_five_seconds_in_720p_stays_below_its_limit_and_plays(tmp_path, show):
    store = Store(str(tmp_path / "store"))
    clip = noise(tmp_path, 4, width=1280, height=720, frames=125, fps=25)
    assert len(clip) > LIMIT
    content = page_of(store.put_bytes(clip, ".mp4"), store)
    assert len(content) < LIMIT
    frame = show(content)
    assert frame.locator("video").count() == 24
    frame.get_by_role("button", name="Play clip 23", exact=True).click()
    assert frame.locator("video").nth(23).evaluate(PLAYED)["audio"]


def test_clip_that_is_gone_or_altered_says_so(tmp_path):
    store = Store(str(tmp_path / "store"))
    ref, other = (store.put_bytes(clip_bytes(seed), ".mp4") for seed in (0, 1))
    gone = FileRef(path="objects/00/00.mp4", sha256="0" * 64, bytes=5)
    (tmp_path / "store" / other.path).write_bytes(b"swapped")
    words = store.put_bytes(b"no film", ".mp4")
    shown = gallery([Card(one, "a clip") for one in (ref, gone, other, words)], store, of=4)
    assert shown.count("gone from the store, or was altered") == 2
    assert shown.count("The file cannot be played") == 1
    assert shown.count("<video") == 1


def test_page_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="more than 4000000"):
        page("Large", "", {"Text": text("x" * LIMIT)})
