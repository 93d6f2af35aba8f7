"""The world: how fast it is filmed, how right its detectors are, how fast its server answers.

SEED=123 QUICK=1 python -m benchmarks.world
"""

import base64
import http.client
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks.report import Row, publish, quick, seed
from veo_core.evaluate.intervals import clustered_share, wilson
from veo_core.media.decode import Decoded, decode, frames_at
from veo_core.media.encode import encode
from veo_core.world.api import JUDGE_MODEL
from veo_core.world.film import render
from veo_core.world.judge import judge
from veo_core.world.plan import scene_of
from veo_core.world.sighting import Sighting
from veo_core.world.studio import film_clip, make
from veo_core.world.truth import Shot, WorldSpec

DEFAULT_SEED = 5_804_117
TOLERANCE = 0.020  # seconds
ATTRIBUTES = ("shape", "direction", "size", "speed")


def main() -> None:
    used = seed(DEFAULT_SEED)
    rows = [
        *filming(60 if quick() else 200, used),
        *detecting(100 if quick() else 500, used),
        *serving(200 if quick() else 1000, used),
    ]
    publish("world", rows, used_seed=used)


def filming(clips: int, used_seed: int) -> Iterator[Row]:
    """Clips of 2 s, 128 x 128 pixels at 16 frames per second with sound, on two processes."""
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.perf_counter(), _cpu_seconds()
        make(Path(folder) / "out", WorldSpec(clips=clips, seed=used_seed, seconds=2.0), workers=2)
        wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
    yield Row("filming, 2 processes", clips / wall, "clips/s", target=20.0)
    yield Row("filming, processor time", 1e3 * cpu / clips, "ms/clip", target=80.0, op="<=")


def detecting(clips: int, used_seed: int) -> Iterator[Row]:
    """The detectors against the truth: as filmed, and prepared as for training at two sizes."""
    spec = WorldSpec(clips=clips, seed=used_seed)
    views = {"128 px": (None, spec.seconds), "64 px": (64, 2.0), "32 px": (32, 2.0)}
    scores = {name: Score() for name in views}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(clips):
            clip = film_clip(spec, index, folder)
            filmed = decode(clip.path)
            for view, (side, seconds) in views.items():
                shown = filmed if side is None else _prepared(filmed, side, folder)
                start = time.process_time()
                sighting = judge(shown)
                scores[view].add(sighting, clip.truth.shots[0], seconds, time.process_time() - start)
            clip.path.unlink()
    for view, score in scores.items():
        yield from score.rows(view)


class Score:
    """How often the detectors are right, per attribute; contacts with their errors."""

    def __init__(self) -> None:
        self.right: dict[str, list[bool]] = defaultdict(list)
        self.errors: list[float] = []
        self.found: list[int] = []
        self.true: list[int] = []
        self.spent: list[float] = []

    def add(self, seen: Sighting, shot: Shot, seconds: float, spent: float) -> None:
        wanted = shot.attributes
        self.right["count"].append(len(seen.objects) == len(wanted.objects))
        self.right["pitch"].append(seen.pitch == wanted.pitch)
        self.right["hazard and overlays"].append(not (seen.hazard or seen.text or seen.logo))
        self.right["colour"].append(
            {item.colour for item in seen.objects} == {o.colour for o in wanted.objects}
        )
        by_colour = {item.colour: item for item in seen.objects}
        for name in ATTRIBUTES:
            pairs = [(getattr(o, name), getattr(by_colour.get(o.colour), name, None)) for o in wanted.objects]
            self.right[name].append(all(true == found for true, found in pairs))
        contacts = [t for t in shot.contacts if t < seconds]
        self.right["contacts, none missed or made up"].append(_near(seen.contacts, contacts))
        self.right["onsets, none missed or made up"].append(_near(seen.onsets, contacts))
        errors = [min((abs(t - found) for found in seen.contacts), default=np.inf) for t in contacts]
        self.errors += errors
        self.found.append(sum(error <= TOLERANCE for error in errors))
        self.true.append(len(contacts))
        self.spent.append(spent)

    def rows(self, view: str) -> Iterator[Row]:
        for name, marks in self.right.items():
            share = wilson(sum(marks), len(marks))
            assert share.value is not None
            yield Row(f"{view}: {name}", share.value, "share", share.low, share.high, target=0.99)
        share = clustered_share(self.found, self.true)
        assert share.value is not None
        yield Row(f"{view}: contacts within 20 ms", share.value, "share", share.low, share.high, target=0.99)
        median, high = np.quantile(self.errors, [0.5, 0.99]) * 1e3
        yield Row(f"{view}: contact error, median", float(median), "ms")
        yield Row(f"{view}: contact error, 99th percentile", float(high), "ms", target=20.0, op="<=")
        yield Row(f"{view}: judging, processor time", 1e3 * float(np.mean(self.spent)), "ms/clip")


def serving(requests: int, used_seed: int) -> Iterator[Row]:
    """Requests with three JPEG pictures of 64 x 64 pixels, eight connections at a time."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        command = [sys.executable, "-m", "veo_core.world.main", "serve", "--port", "0"]
        server = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.DEVNULL)
        try:
            while not ready.exists():
                if server.poll() is not None:
                    raise RuntimeError(f"the server ended with {server.returncode}")
                time.sleep(0.02)
            address = urlsplit(ready.read_text().strip())
            assert address.hostname is not None
            assert address.port is not None
            bodies = [_request(used_seed, index) for index in range(min(requests, 100))]
            _send(address.hostname, address.port, bodies[:8], 8)
            before, start = _cpu_seconds_of(server.pid), time.perf_counter()
            _send(address.hostname, address.port, bodies, requests)
            wall, cpu = time.perf_counter() - start, _cpu_seconds_of(server.pid) - before
        finally:
            server.terminate()
            server.wait()
    yield Row("server, requests of 3 pictures", requests / wall, "requests/s", target=100.0)
    yield Row("server, per second of processor time", requests / cpu, "requests/s", target=100.0)


def _prepared(filmed: Decoded, side: int, folder: Path) -> Decoded:
    frames = filmed.frames[frames_at(filmed, 8.0, 17)]
    small = np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames])
    assert filmed.audio is not None
    sound = filmed.audio[:, : 2 * filmed.audio_rate]
    encode(folder / "prepared.mp4", small, fps=8.0, audio=sound, audio_rate=filmed.audio_rate)
    return decode(folder / "prepared.mp4")


def _near(found: tuple[float, ...], true: list[float]) -> bool:
    return len(found) == len(true) and all(abs(a - b) <= TOLERANCE for a, b in zip(found, true, strict=True))


def _request(used_seed: int, index: int) -> bytes:
    frames = render(scene_of(WorldSpec(seed=used_seed), index), np.array([0.0, 1.0, 2.0]), 64, 64)
    content: list[dict[str, Any]] = [{"type": "text", "text": "Describe the clip."}]
    for frame in frames:
        data = base64.b64encode(cv2.imencode(".jpg", frame)[1].tobytes()).decode()
        content.append({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}})
    return json.dumps({"model": JUDGE_MODEL, "messages": [{"role": "user", "content": content}]}).encode()


def _send(host: str, port: int, bodies: list[bytes], requests: int) -> None:
    """Send `requests` requests over eight connections that are kept alive."""
    numbers = iter(range(requests))
    problems: list[str] = []

    def work() -> None:
        connection = http.client.HTTPConnection(host, port)
        for number in numbers:
            body = bodies[number % len(bodies)]
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                problems.append(f"{response.status}: {answer[:200]!r}")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(problems[0])


def _cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


def _cpu_seconds_of(process: int) -> float:
    """Processor time of another process (proc(5): utime and stime)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
