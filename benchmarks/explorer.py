"""The explorer over a run of 100,000 clips: time to the first view, steps of scrolling, memory.

QUICK=1 python -m benchmarks.explorer
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks import synthetic_run
from benchmarks.browsing import Visit, chromium
from benchmarks.report import Row, publish, quick, seed

DEFAULT_SEED = 1_618_033
_FIRST = {
    "clips": ".clip-card img",
    "funnel": ".sankey .band",
    "pipeline": ".graph .node",
}
_WHEEL = 40  # pixels a frame
_SCROLL = """async ([steps, pixels]) => {
  const box = document.querySelector(".grid-scroll");
  const by = pixels || (box.scrollHeight - box.clientHeight) / steps;
  const frames = [];
  let before = await new Promise(requestAnimationFrame);
  for (let step = 1; step <= steps; step++) {
    box.scrollTop = by * step;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""


def main() -> None:
    """Measure, print and write the rows."""
    used = seed(DEFAULT_SEED)
    clips, views, steps = (5_000, 3, 60) if quick() else (100_000, 9, 400)
    with tempfile.TemporaryDirectory() as folder:
        run = synthetic_run.write(Path(folder), clips, used)
        with _server(Path(folder)) as address, chromium() as browser:
            rows = list(_rows(browser, address, run.name, views, steps))
    publish("explorer", rows, used_seed=used)


def _rows(browser: Browser, address: str, run: str, views: int, steps: int) -> Iterator[Row]:
    for page, sign in _FIRST.items():
        place = f"run/{run}" if page == "pipeline" else f"run/{run}/{page}"
        seconds = [_first_view(browser, address, place, sign) for _ in range(views)]
        yield Row(f"first view of {page}, median", statistics.median(seconds), "s", target=1.0, op="<=")
        yield Row(f"first view of {page}, first time", seconds[0], "s")
    with Visit(browser, address) as visit:
        window = visit.open(f"run/{run}/clips")
        window.locator(".clip-card img").first.wait_for()
        frames: list[float] = []
        for pixels in (_WHEEL, 0):  # as with a wheel, and from end to end
            frames += window.evaluate(_SCROLL, [steps, pixels])
        window.locator(".clip-card:not(.empty)").first.wait_for()
        yield Row("step of scrolling, median", statistics.median(frames), "ms")
        yield Row("step of scrolling, longest", max(frames), "ms", target=150.0, op="<=")
        yield Row("memory of the page, most", _most_memory(browser), "MB", target=500.0, op="<=")
        yield Row("elements of the page after it", window.locator("*").count(), "")


def _first_view(browser: Browser, address: str, place: str, sign: str) -> float:
    """Seconds until a page that nobody has opened in this window shows what it is for."""
    with Visit(browser, address) as visit:
        visit.page.goto("about:blank")
        started = time.perf_counter()
        visit.page.goto(f"{address}#/{place}", wait_until="commit")
        visit.page.locator(sign).first.wait_for(state="attached")
        return time.perf_counter() - started


def _most_memory(browser: Browser) -> float:
    """Peak resident memory of the largest process that draws a page, MB."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    drawing = [process["id"] for process in processes if process["type"] == "renderer"]
    return max(_peak(pid) for pid in drawing) / 1e6


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else 0


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "veo_core.cli.main", "ui", "--port", "0"]
    command += ["--runs", str(folder / "runs"), "--root", str(folder / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise RuntimeError("the server said no address")
        yield found[0]
        process.terminate()


if __name__ == "__main__":
    main()
