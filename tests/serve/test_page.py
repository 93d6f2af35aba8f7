"""The page in headless Chromium: type a prompt, see and hear the clip."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Client, picture, serving

from veo_core.serve.page import page as document

sync_api = pytest.importorskip("playwright.sync_api")
browsing = pytest.importorskip("benchmarks.browsing", reason="needs playwright")
needs_chromium = pytest.mark.skipif(browsing.CHROMIUM is None, reason="no Chromium is installed")
PLAYED = """video => new Promise((resolve, reject) => {
  const seen = () => video.currentTime > 0.2 && resolve({
    width: video.videoWidth, muted: video.muted, audio: video.webkitAudioDecodedByteCount > 0});
  video.addEventListener("timeupdate", seen);
  video.addEventListener("error", () => reject(video.error.message));
})"""


@pytest.fixture(scope="module")
def server(root: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(root, tmp_path_factory.mktemp("output"), "--prompt-filter", "world") as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.chromium(autoplay="user-gesture-required") as launched:
        yield launched


def _lost(request: Any) -> list[str]:
    """A request that failed; a player that has what it needs breaks off its own."""
    return [] if request.failure == "net::ERR_ABORTED" else [request.url]


@pytest.fixture
def page(server: Client, browser: Any) -> Iterator[Any]:
    """The page with its model loaded; the test fails on any error that the browser reports."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("requestfailed", lambda request: problems.extend(_lost(request)))
    opened.goto(server.url)
    sync_api.expect(opened.locator("#make")).to_be_enabled()
    yield opened
    context.close()
    assert problems == []


def done(page: Any) -> None:
    sync_api.expect(page.get_by_role("status")).to_contain_text("Done", timeout=60_000)


@needs_chromium
def test_typed_prompt_becomes_a_clip_that_is_seen_and_heard(page, server):
    page.keyboard.type("a red circle moving left")  # the prompt has the focus from the start
    page.keyboard.press("Enter")
    done(page)
    played = page.locator("#video").evaluate(PLAYED)
    assert played == {"width": 32, "muted": False, "audio": True}
    digest = page.locator("#shown-digest").inner_text()
    assert server.get(f"/clips/{digest}.mp4").status_code == 200
    assert page.locator("#shown-prompt").inner_text() == "a red circle moving left"


@needs_chromium
def test_seed_steps_and_guidance_are_those_that_were_chosen(page):
    page.get_by_label("Prompt").fill("a blue square")
    page.get_by_label("Seed").fill("41")
    page.get_by_label("Steps").fill("3")
    page.get_by_label("Guidance").fill("2.5")
    page.get_by_role("button", name="Make the clip").click()
    done(page)
    assert page.locator("#shown-seed").inner_text() == "41"
    assert page.locator("#shown-drawn").inner_text() == "3 steps, guidance 2.5"


@needs_chromium
def test_image_starts_the_clip(page, tmp_path: Path):
    (tmp_path / "first.png").write_bytes(picture(48, 64))
    page.get_by_label("First picture").set_input_files(tmp_path / "first.png")
    page.get_by_role("button", name="Make the clip").click()
    done(page)
    assert "the image of 64x48 is cut to its centre" in page.locator("#notes").inner_text()


@needs_chromium
def test_recent_clips_outlive_the_page_and_can_be_shown_again(page):
    for prompt in ("a red circle", "a blue square"):
        page.get_by_label("Prompt").fill(prompt)
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("#shown-prompt")).to_have_text(prompt, timeout=60_000)
        done(page)
    page.reload()
    recent = page.get_by_role("region", name="Recent clips").get_by_role("button")
    recent.filter(has_text="a red circle").click()
    sync_api.expect(page.locator("#shown-prompt")).to_have_text("a red circle")
    page.get_by_role("button", name="Forget them").click()
    sync_api.expect(page.get_by_role("region", name="Recent clips")).to_be_hidden()


@needs_chromium
def test_what_the_filter_refuses_is_said_and_the_next_prompt_works(page):
    page.get_by_label("Prompt").fill("a red circle beside a hazard sign")
    page.keyboard.press("Enter")
    status = page.get_by_role("status")
    refused = "the safety filter refuses the prompt: hazard (code 950)"
    sync_api.expect(status).to_have_text(refused, timeout=60_000)
    page.get_by_label("Prompt").fill("a red circle")
    page.keyboard.press("Enter")
    done(page)


@needs_chromium
def test_page_fits_a_phone_and_markup_in_a_prompt_stays_text(page):
    page.get_by_label("Prompt").fill("<img src=x onerror=alert(1)>")
    page.keyboard.press("Enter")
    done(page)
    assert page.locator("#shown-prompt").inner_text() == "<img src=x onerror=alert(1)>"
    box = page.locator("body").bounding_box()
    assert box["width"] <= 390
    assert page.locator("main").bounding_box()["width"] <= 390


def test_page_loads_nothing_from_elsewhere():
    html, headers = document()
    assert b"http://" not in html
    assert b"https://" not in html
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
