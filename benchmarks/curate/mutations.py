"""Media files that are damaged or made to do damage, and what prepare makes of them.

python -m benchmarks.curate.mutations FOLDER SEED COUNT     prepare them in a process of its own
"""

import io
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.report import Row
from veo_core.curate import prepare
from veo_core.curate.produce import Spec
from veo_core.errors import ItemError
from veo_core.media.decode import decode
from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Clip, Source
from veo_core.records.ledger import Decision
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.world.film import record, render
from veo_core.world.plan import scene_of
from veo_core.world.truth import WorldSpec

FRAMES, FPS, RATE = 40, 16, 48_000
SPEC = Spec(short_side=64, fps=8.0, frames=17)
ITEM_SECONDS, ITEM_BYTES = 3.0, 1 << 30
PEAK_MIB = 1280.0  # a child may hold ITEM_BYTES beyond what it starts with

_REPEATABLE = {"fflags": "+bitexact"}  # no identifiers drawn at random

_ABSURD = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_BOXES = (
    b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"edts", b"elst", b"mdhd", b"hdlr", b"minf", b"stsd",
    b"avc1", b"avcC", b"mp4a", b"esds", b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"mdat",
)  # fmt: skip
_TABLES = (b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"elst")
# Matroska's ids of: info, time scale, duration, tracks, track, default duration, codec data, picture width
# and height, sampling frequency, channels, cluster, its time, a block.
_ELEMENTS = (
    b"\x15\x49\xa9\x66", b"\x2a\xd7\xb1", b"\x44\x89", b"\x16\x54\xae\x6b", b"\xae", b"\x23\xe3\x83",
    b"\x63\xa2", b"\xb0", b"\xba", b"\xb5", b"\x9f", b"\x1f\x43\xb6\x75", b"\xe7", b"\xa3",
)  # fmt: skip

Mutate = Callable[[bytearray, np.random.Generator], None]


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Bar 8: every file is recorded, no process but those that decode suffers."""
    count = 200 if quick else 1000
    outcome = examine(folder, seed, count)
    good = count - len(outcome["unrecorded"]) - len(outcome["invalid"])
    yield Row("mutated files recorded with a reason or prepared validly", good / count, "share", target=1.0)
    for rule, files in sorted(outcome["rules"].items()):
        yield Row(f"mutated files: {rule or 'prepared'}", files, "files")
    yield Row(
        "mutated files, largest memory of a child", outcome["peak_mib"], "MiB", target=PEAK_MIB, op="<="
    )
    yield Row(
        "mutated files, longest time of one",
        outcome["longest_seconds"],
        "s",
        target=2 * ITEM_SECONDS,
        op="<=",
    )
    yield Row("mutated files, mean time of one", outcome["mean_seconds"], "s")


def examine(folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Prepare `count` mutated files in a process of its own, whose children's memory is measured.

    Returns:
        rules: files by the rule that decided, "" for those that were prepared. unrecorded: names of files
        without a decision or a reason. invalid: names of files whose clip does not decode to what it should
        be. peak_mib: largest memory of a decoding process. longest_seconds, mean_seconds: time of a file.

    Raises:
        subprocess.CalledProcessError: the stage crashed.
    """
    command = [sys.executable, "-m", "benchmarks.curate.mutations", str(folder), str(seed), str(count)]
    root = Path(__file__).parents[2]
    result: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=root).stdout
    )
    return result


def mutants(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of mutated files; each kind of mutation comes in turn."""
    bases = {kind: _film(kind, seed) for kind in ("mp4", "matroska")}
    bombs = list(_bombs())
    kinds: list[tuple[str, str, Mutate]] = [
        ("mp4", "boxes", _flip_in_boxes),
        ("mp4", "payload", _flip_in_payload),
        ("mp4", "truncated", _truncate),
        ("mp4", "fields", _absurd_field),
        ("mp4", "sizes", _absurd_size),
        ("mp4", "tables", _absurd_table),
        ("matroska", "payload", _flip_anywhere),
        ("matroska", "truncated", _truncate),
        ("matroska", "elements", _absurd_element),
        ("matroska", "head", _flip_in_head),
    ]
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        if number % 100 < len(bombs):
            name, data = bombs[number % 100]
            yield f"{number:04d}-bomb-{name}", data
            continue
        container, kind, mutate = kinds[number % len(kinds)]
        content = bytearray(bases[container])
        mutate(content, rng)
        yield f"{number:04d}-{container}-{kind}", bytes(content)


def _flip(data: bytearray, begin: int, end: int, rng: np.random.Generator, most: int) -> None:
    for position in rng.integers(begin, end, int(rng.integers(1, most))):
        data[position] ^= 1 << int(rng.integers(8))


def _flip_in_boxes(data: bytearray, rng: np.random.Generator) -> None:
    _flip(data, 0, data.index(b"mdat") + 4, rng, 24)


def _flip_in_payload(data: bytearray, rng: np.random.Generator) -> None:
    _flip(data, data.index(b"mdat") + 4, len(data), rng, 64)


def _flip_anywhere(data: bytearray, rng: np.random.Generator) -> None:
    _flip(data, 0, len(data), rng, 48)


def _flip_in_head(data: bytearray, rng: np.random.Generator) -> None:
    _flip(data, 0, min(len(data), 600), rng, 12)


def _truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.uniform(0.0, 0.97) * len(data)) :]


def _absurd_field(data: bytearray, rng: np.random.Generator) -> None:
    """A number in a box: width, height, time scale, duration, rate, count."""
    start = _box(data, _BOXES, rng)
    for offset in rng.integers(1, 24, 2):
        _put(data, start + 4 * int(offset), rng)


def _absurd_size(data: bytearray, rng: np.random.Generator) -> None:
    """The size of a box."""
    _put(data, _box(data, _BOXES, rng) - 4, rng)


def _absurd_table(data: bytearray, rng: np.random.Generator) -> None:
    """The number of entries of a table, or one of its entries."""
    start = _box(data, _TABLES, rng)
    _put(data, start + 4 * int(rng.integers(2, 6)), rng)


def _absurd_element(data: bytearray, rng: np.random.Generator) -> None:
    """The size or the value of an element."""
    element = _ELEMENTS[int(rng.integers(len(_ELEMENTS)))]
    places = [i for i in range(len(data) - 16) if data[i : i + len(element)] == element][:40]
    if places:
        start = places[int(rng.integers(len(places)))] + len(element)
        width = int(rng.integers(1, 9))
        data[start : start + width] = rng.choice([b"\x00", b"\x01", b"\x7f", b"\xff", b"\x08"]) * width


def _box(data: bytearray, names: tuple[bytes, ...], rng: np.random.Generator) -> int:
    """Where the name of a box starts, one that the file has."""
    present = [name for name in names if name in data]
    return data.index(present[int(rng.integers(len(present)))])


def _put(data: bytearray, position: int, rng: np.random.Generator) -> None:
    value = int(_ABSURD[int(rng.integers(len(_ABSURD)))])
    data[position : position + 4] = value.to_bytes(4, "big")


def _film(kind: str, seed: int) -> bytes:
    """A short world scene with its index in front, as H.264 and AAC."""
    scene = scene_of(WorldSpec(seed=seed), 0)
    times = np.arange(FRAMES) / FPS
    sound = record(scene, scene.contacts(FRAMES / FPS), FRAMES / FPS, RATE)
    sink = io.BytesIO()
    with av.open(sink, "w", format=kind, options=_REPEATABLE) as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width = video.height = 128
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "veryfast"}
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for number, picture in enumerate(render(scene, times, 128, 128)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for first in range(0, sound.shape[1], 1024):
            samples = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[:, first : first + 1024]), format="fltp", layout="mono"
            )
            samples.sample_rate, samples.pts, samples.time_base = RATE, first, Fraction(1, RATE)
            container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
    return sink.getvalue()


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Small files of long runs of tiny packets that decode to pictures of 9 megapixels each."""
    for container, packets in (("mp4", 20_000), ("matroska", 20_000), ("mp4", 60_000), ("matroska", 60_000)):
        yield f"{container}-{packets}", _black_film(container, packets)


def _black_film(kind: str, packets: int) -> bytes:
    """A key frame and one picture that repeats it, that one written again and again."""
    width, height = 4096, 2304
    frame = av.VideoFrame(width, height, "yuv420p")
    for part, level in zip(frame.planes, (16, 128, 128), strict=True):
        part.update(bytes([level]) * part.buffer_size)
    source = io.BytesIO()
    with av.open(source, "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=1000)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"preset": "ultrafast", "x264-params": "bframes=0:scenecut=0"}
        for number in range(2):
            frame.pts, frame.time_base = number, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    source.seek(0)
    sink = io.BytesIO()
    with av.open(source) as reading, av.open(sink, "w", format=kind, options=_REPEATABLE) as writing:
        original = reading.streams.video[0]
        copy = writing.add_stream_from_template(original)
        key, repeated = ([bytes(packet) for packet in reading.demux(original) if packet.size])[:2]
        for number in range(packets):
            packet = av.Packet(repeated if number else key)
            packet.pts = packet.dts = number
            packet.time_base, packet.duration, packet.stream = Fraction(1, 1000), 1, copy
            packet.is_keyframe = number == 0
            writing.mux(packet)
    return sink.getvalue()


def _examine(folder: Path, seed: int, count: int) -> dict[str, Any]:
    store = Store(str(folder / "store"))
    config = prepare.PrepareConfig(
        spec=SPEC, item_timeout_seconds=ITEM_SECONDS, item_memory_bytes=ITEM_BYTES, max_failed_share=1.0
    )
    rules: Counter[str] = Counter()
    unrecorded, invalid, seconds = [], [], []
    for name, data in mutants(seed, count):
        path = folder / name
        path.write_bytes(data)
        source = Source(
            source_id=sha256_bytes(name.encode()), name=name, file=store.put_file(path), origin="test"
        )
        path.unlink()
        table = store.put_table([source], Source)
        manifest = Manifest(stage="collect", config_digest="", rows=1, tables={"sources": table})
        context = Context(stage="prepare", store=store, seed=0, key=name, workers=1)
        start = time.perf_counter()
        prepared = prepare.run(sources=manifest, config=config, context=context)
        seconds.append(time.perf_counter() - start)
        decisions = store.get_table(prepared.tables["ledger"], Decision)
        decided = bool(decisions) and all(one.verdict == "kept" or one.rule for one in decisions)
        explained = all(one.evidence for one in decisions if one.verdict == "failed")
        if not (decided and explained):
            unrecorded.append(name)
        rules.update({one.rule for one in decisions})
        for clip in store.get_table(prepared.tables["clips"], Clip):
            if not _is_valid(store.local_path(clip.media, folder)):
                invalid.append(name)
    return {
        "rules": dict(rules),
        "unrecorded": unrecorded,
        "invalid": invalid,
        "peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "longest_seconds": max(seconds),
        "mean_seconds": float(np.mean(seconds)),
    }


def _is_valid(path: Path) -> bool:
    try:
        back = decode(path)
    except ItemError:
        return False
    return len(back.frames) == SPEC.frames and bool(
        np.allclose(back.pts, np.arange(SPEC.frames) / SPEC.fps, atol=1e-3)
    )


if __name__ == "__main__":
    print(json.dumps(_examine(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
