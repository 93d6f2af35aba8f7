"""The explorer in headless Chromium: a server for its pages, and what the browser has to say of them."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from veo_core.errors import UsageError
from veo_core.explorer.api import Api
from veo_core.explorer.server import application

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = {"wide": (1440, 900), "phone": (390, 844)}
Theme = Literal["light", "dark"]
Autoplay = Literal["document-user-activation-required", "user-gesture-required"]
_FOLLOW = """place => new Promise(drawn => {
  location.hash = place;
  requestAnimationFrame(() => requestAnimationFrame(drawn));
})"""
_PATIENCE = 20_000  # milliseconds


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """The address of a server on this machine, while the context lasts."""
    server = uvicorn.Server(uvicorn.Config(application(api), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server ended before it began")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@contextmanager
def chromium(autoplay: Autoplay = "document-user-activation-required") -> Iterator[Browser]:
    """A headless browser in which pages need a user's gesture for sound, as people's browsers do.

    Args:
        autoplay: whether one gesture on the page will do, or each start of a player needs its own.

    Raises:
        UsageError: none is installed.
    """
    if CHROMIUM is None:
        raise UsageError("no Chromium is installed; `apt-get install chromium` does it")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", f"--autoplay-policy={autoplay}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


class Visit:
    """One reader's browser window, and every problem that it reports.

    Attributes:
        page: the window.
        problems: errors of scripts, the console and requests, and addresses outside the page's origin.
    """

    def __init__(self, browser: Browser, address: str, *, size: str = "wide", theme: Theme = "light") -> None:
        width, height = SIZES[size]
        self._context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, has_touch=size == "phone"
        )
        self._context.set_default_timeout(_PATIENCE)
        self._address = address
        self.page: Page = self._context.new_page()
        self.problems: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()

    def open(self, place: str = "") -> Page:
        """Load the application at a place, such as "run/ID/clips", and wait until its documents are there."""
        self.page.goto("about:blank")
        self.page.goto(f"{self._address}#/{place}")
        self.settle()
        return self.page

    def go(self, place: str) -> Page:
        """Follow a link to a place within the application."""
        if self.page.url == "about:blank":
            return self.open(place)
        self.page.evaluate(_FOLLOW, f"#/{place}")
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until what is being loaded is there."""
        self.page.locator("main > *").first.wait_for()
        self.page.locator(".waiting").first.wait_for(state="detached")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{message.location.get('url', '')}: {message.text}")

    def _asked(self, request: Request) -> None:
        own = self._address.removesuffix(Path(self._address).name) if self._is_file else self._address
        if not request.url.startswith((own, "data:", "blob:", "about:")):
            self.problems.append(f"asked for {request.url}")

    def _failed(self, request: Request) -> None:
        # A player that has what it needs, and a page that is left, break off their own requests.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")

    @property
    def _is_file(self) -> bool:
        return self._address.startswith("file:")
