"""Servers over real HTTP: in a thread of the test's process, or in a process of their own."""

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import uvicorn

from veo_core.serve.__main__ import listening_on
from veo_core.serve.app import Application
from veo_core.serve.prompt_filter import judge_of
from veo_core.serve.settings import read_settings

REPOSITORY = Path(__file__).parents[2]
PROMPT = "a red circle moving left"


@dataclass
class Client:
    """What a test asks a server."""

    url: str

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60)

    def post(self, path: str = "/predict", **request: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=60, **request)

    def predict(
        self, *instances: Mapping[str, Any], path: str = "/predict", **parameters: Any
    ) -> httpx.Response:
        """Asks for clips."""
        return self.post(path, json={"instances": list(instances), "parameters": parameters})

    def clip(self, **parameters: Any) -> dict[str, Any]:
        """The prediction of one clip that must be made."""
        response = self.predict({"prompt": PROMPT}, **parameters)
        assert response.status_code == 200, response.text
        (prediction,) = response.json()["predictions"]
        return dict(prediction)

    def metric(self, name: str) -> float:
        """A figure of `/metrics`, with its labels as Prometheus writes them; 0 where there is none yet."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_until_ready(self, path: str = "/health") -> None:
        while self.get(path).status_code != 200:
            threading.Event().wait(0.05)


@contextlib.contextmanager
def serving(root: str, output: Path, *flags: str, **environment: str) -> Iterator[Client]:
    """A server in a thread, with its model loaded. Unless `flags` say so, one step and no prompt filter."""
    given = ["--model", "veo-tiny@1", "--root", root, "--output", str(output), "--prompt-filter", "off"]
    given += ["--sampler", "{steps: 1}"]
    settings = read_settings([*given, *flags], environment)
    with judge_of(settings) as judge, listening_on("127.0.0.1", 0) as listener:
        application = Application(settings, judge, lambda: None)
        config = uvicorn.Config(application.asgi(), ws="none", log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            client.wait_until_ready(settings.health_route)
            yield client
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


@dataclass
class Process(Client):
    """A server in a process of its own."""

    running: subprocess.Popen[str]

    def terminate(self) -> tuple[int, str]:
        """Send SIGTERM; the exit code and what was printed after the address."""
        self.running.send_signal(signal.SIGTERM)
        printed, _ = self.running.communicate(timeout=60)
        return self.running.returncode, printed


@contextlib.contextmanager
def process(*flags: str, **environment: str) -> Iterator[Process]:
    """`python -m veo_core.serve` from the moment on that it listens.

    It finds nothing in its environment of what servers heed but what is given here.
    """
    heeded = ("AIP_", "VEO_", "OPENAI_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(heeded)}
    running = subprocess.Popen(
        [sys.executable, "-m", "veo_core.serve", *flags],
        cwd=REPOSITORY,
        env={**own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    try:
        line = running.stdout.readline()
        assert line.startswith("listening on http://"), line + running.stdout.read()
        yield Process(line.removeprefix("listening on ").strip(), running)
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def picture(height: int = 32, width: int = 32, codec: str = "png") -> bytes:
    """A noisy image file: "png" or "mjpeg", which is JPEG."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    encoder = av.CodecContext.create(codec, "w")
    encoder.height, encoder.width, encoder.time_base = height, width, 1
    encoder.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=encoder.pix_fmt)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}
