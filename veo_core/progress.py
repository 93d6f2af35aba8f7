"""Progress of long work: a bar on a terminal, plain lines in logs."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_LOG_SECONDS = 5.0


def track(items: Iterable[T], *, total: int, label: str, unit: str = "items") -> Iterator[T]:
    """Yield from `items`, telling how many of `total` are done, the rate, and the time left."""
    start = last = time.monotonic()
    terminal = sys.stderr.isatty()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= (0.2 if terminal else _LOG_SECONDS):
            last = now
            _show(done, total, label, unit, now - start, terminal)
    _show(done, total, label, unit, time.monotonic() - start, terminal)
    if terminal:
        sys.stderr.write("\n")


def _show(done: int, total: int, label: str, unit: str, elapsed: float, terminal: bool) -> None:
    rate = done / elapsed if elapsed > 0 else 0.0
    left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
    line = f"{label}: {done}/{total} {unit}, {rate:.3g}/s{left}"
    if terminal:
        filled = 24 * done // max(total, 1)
        sys.stderr.write(f"\r\x1b[K[{'█' * filled}{'·' * (24 - filled)}] {line}")
    else:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
