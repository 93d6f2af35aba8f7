"""The server under load: 200 clients that come back when they are told to, for a minute.

The model is a tiny one with random weights (9 frames of 32 x 32 pixels, 4 steps), so that the figures are the
server's: HTTP, filter, queue, batches, encoding, store.

QUICK=1 python -m benchmarks.serve
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import torch

from benchmarks.report import Row, publish, quick, seed
from veo_core.data.spec import ClipSpec
from veo_core.export.folder import export_model
from veo_core.generate.pipeline import Generator
from veo_core.models.audio_codec import AudioCodec
from veo_core.models.audio_vae import AudioVAE
from veo_core.models.mel_codec import MelAutoencoder
from veo_core.models.text import TextEncoder, Vocabulary
from veo_core.models.transformer import JointTransformer
from veo_core.models.upsampler import Upsampler
from veo_core.models.video_vae import VideoVAE
from veo_core.train.runtime import Runtime, RuntimeConfig

DEFAULT_SEED = 2_718_281
CLIENTS = 200
STEPS = 4
PROMPT = "a red circle moving left with a low tone"


def main() -> None:
    used = seed(DEFAULT_SEED)
    seconds = 15.0 if quick() else 60.0
    with tempfile.TemporaryDirectory() as folder:
        export_model(_tiny_model(used), Path(folder) / "veo-tiny")
        with _server(Path(folder)) as (url, process):
            _until_ready(url)
            load, memory = _under_load(url, process, seconds, used)
    publish("serve", list(_rows(load, memory)), used_seed=used)


@dataclass
class Load:
    """What the clients saw.

    served: seconds from a request to its clip. waited: the same from the first try on, with the waits that
        429 asks for. busy: answers 429. failures: all that is neither a clip nor 429. seconds: until the last
        client had its last answer.
    """

    served: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    busy: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def _rows(load: Load, memory: list[int]) -> Iterator[Row]:
    """Memory at the end is compared with that after a quarter of the time, when pools and caches are full."""
    part = len(memory) // 4
    early, late = (statistics.median(memory[k * part : (k + 1) * part]) for k in (1, 3))
    for failure in sorted(set(load.failures))[:5]:
        print(f"failure: {failure}", file=sys.stderr)
    yield Row("failures other than 429", len(load.failures), "requests", target=0, op="<=")
    yield Row("clips", len(load.served) / load.seconds, "clips/s")
    yield Row("answers 429", load.busy / max(1, load.busy + len(load.served)), "share")
    for name, times in (("request", load.served), ("request with its waits", load.waited)):
        cuts = statistics.quantiles(times, n=100)
        yield Row(f"{name}, median", cuts[49], "s")
        yield Row(f"{name}, 99th percentile", cuts[98], "s")
    yield Row("memory of the server at the end", late / 2**20, "MiB")
    yield Row("memory, growth from the second quarter", late / early - 1.0, "share", target=0.03, op="<=")


def _under_load(url: str, process: int, seconds: float, used_seed: int) -> tuple[Load, list[int]]:
    """Ask with all clients at once; what they saw, and the server's resident bytes each half second."""
    load, memory, end = Load(), list[int](), time.perf_counter() + seconds
    clients = [
        threading.Thread(target=_client, args=(url, load, end, used_seed + 1_000_000 * number))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    while time.perf_counter() < end:
        memory.append(_resident_bytes(process))
        time.sleep(0.5)
    for client in clients:
        client.join()
    load.seconds = time.perf_counter() - end + seconds
    return load, memory


def _client(url: str, load: Load, end: float, first_seed: int) -> None:
    """Asks for one clip after the other over one connection."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    connection = http.client.HTTPConnection(host or "", port, timeout=300)
    number, begun = 0, time.perf_counter()
    while (started := time.perf_counter()) < end:
        request = {"instances": [{"prompt": PROMPT, "seed": first_seed + number}]}
        try:
            connection.request("POST", "/predict", json.dumps(request), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            load.failures.append(repr(error))
            connection.close()
            continue
        now = time.perf_counter()
        if response.status == 429:
            load.busy += 1
            time.sleep(float(response.headers["Retry-After"]))
            continue
        if response.status != 200:
            load.failures.append(f"{response.status}: {answer[:200]!r}")
        else:
            load.served.append(now - started)
            load.waited.append(now - begun)
        number, begun = number + 1, time.perf_counter()
    connection.close()


def _tiny_model(used_seed: int) -> Generator:
    torch.manual_seed(used_seed)
    clip = ClipSpec(frames=9, height=32, width=32)
    text = TextEncoder.Config(vocabulary=Vocabulary.from_captions([PROMPT]))
    return Generator(
        VideoVAE(VideoVAE.Config(width=8, depth=1)),
        AudioCodec(MelAutoencoder(AudioVAE(AudioVAE.Config(width=8, depth=1)), clip), clip),
        JointTransformer(JointTransformer.Config(clip=clip, text=text, width=32, depth=2, heads=2)),
        Upsampler(Upsampler.Config(width=8, depth=1)),
        Runtime(RuntimeConfig()),
    )


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, int]]:
    """The server as its container starts it, with the world's prompt filter: its URL and its process."""
    command = [sys.executable, "-m", "veo_core.serve", "--model", "veo-tiny", "--output", "served"]
    server = subprocess.Popen(
        [*command, "--port", "0", "--prompt-filter", "world", "--sampler", f"{{steps: {STEPS}}}"],
        cwd=folder,
        # So small a model gains nothing by more threads than one.
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().removeprefix("listening on ").strip(), server.pid
    finally:
        server.terminate()
        if server.wait() != 0:
            raise RuntimeError(f"the server ended with {server.returncode}")


def _until_ready(url: str) -> None:
    while True:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.request("GET", "/health")
        if connection.getresponse().status == 200:
            return
        time.sleep(0.2)


def _resident_bytes(process: int) -> int:
    """Physical memory of another process (proc(5): statm)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
