"""A world judge in a process of its own."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


class JudgeProcess:
    """`veo world serve` on a free port, as a context manager.

    Args:
        folder: where the server writes its address.
    """

    def __init__(self, folder: Path) -> None:
        self._ready = folder / "judge-url"

    def __enter__(self) -> "JudgeProcess":
        self._ready.unlink(missing_ok=True)
        arguments = ["serve", "--port", "0", "--ready-file", str(self._ready)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "veo_core.world.main", *arguments], stdout=subprocess.DEVNULL
        )
        while not self._ready.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"the judge server ended with {self._process.returncode}")
            time.sleep(0.02)
        self.url = self._ready.read_text().strip()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()

    def stats(self) -> dict[str, Any]:
        """What the server has answered (`veo_core.world.tally`)."""
        with urllib.request.urlopen(self._at("/stats")) as response:
            stats: dict[str, Any] = json.load(response)
            return stats

    def settled(self) -> dict[str, Any]:
        """`stats`, as soon as no request is under way."""
        while True:
            stats = self.stats()
            if sum(stats["requests"].values()) == sum(stats["outcomes"].values()):
                return stats
            time.sleep(0.02)

    def set_faults(self, **rates: float) -> None:
        """What goes wrong from now on (`veo_core.world.faults.FaultRates`)."""
        data, kind = json.dumps(rates).encode(), {"content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(self._at("/faults"), data, kind)).close()

    def _at(self, path: str) -> str:
        return self.url.removesuffix("/v1") + path
