"""What dedup costs as clips become many: seconds, memory and recall on embeddings, and calls of a model.

python -m benchmarks.curate.dedup_scale FOLDER SIZE     one size, in a process of its own, as JSON
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.curate.chain import configs
from benchmarks.curate.judge import JudgeProcess
from benchmarks.report import Row
from veo_core.curate import collect, dedup, prepare
from veo_core.curate.dedup_partitions import Edges, assign, cluster_count, fit, merge, prune, unique_edges
from veo_core.curate.dedup_vectors import Int8, Layout, quantise
from veo_core.evaluate.intervals import wilson
from veo_core.media.signature import SIDE, STEPS, Signature
from veo_core.records.clip import Clip, ClipSignature, MediaFacts, Signals, Source
from veo_core.records.files import FileRef
from veo_core.records.manifest import Manifest
from veo_core.stage import Context
from veo_core.storage import Store
from veo_core.world.truth import WorldSpec

Float32 = npt.NDArray[np.float32]

DIMENSIONS = 512
_COPIES = 0.1  # share of the embeddings that are planted copies of others
_CHUNK = 10_000
_CORES = 2


def rows(seed: int, quick: bool) -> Iterator[Row]:
    """Seconds, memory and recall at several sizes, and how the seconds grow (bar 4)."""
    sizes = (10_000, 30_000) if quick else (10_000, 100_000, 300_000)
    spent = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            plant(folder, size, seed)
            found = _child(folder, size, "clusters")
            exact = (
                _child(folder, size, "exact") if size <= 100_000 and not (quick and size > 10_000) else None
            )
        spent[size] = found["cpu"]
        bar = size == 100_000
        yield Row(
            f"dedup of {size:,} embeddings",
            found["seconds"],
            "s",
            target=30.0 if bar else None,
            op="<=",
            baseline=exact["seconds"] if exact else None,
        )
        yield Row(
            f"dedup of {size:,} embeddings, peak memory",
            found["rss"],
            "GiB",
            target=2.0 if bar else None,
            op="<=",
        )
        interval = wilson(int(found["hits"]), int(found["planted"]))
        yield Row(
            f"dedup of {size:,} embeddings, planted copies found",
            found["hits"] / found["planted"],
            "share",
            interval.low,
            interval.high,
            target=0.99 if bar else None,
            baseline=exact["hits"] / exact["planted"] if exact else None,
        )
        yield Row(f"dedup of {size:,} embeddings, CPU", found["cpu"], "s")
        yield Row(f"dedup of {size:,} embeddings, others dropped", found["wrong"] / size, "share")
    points = np.log([[size, cpu] for size, cpu in spent.items()])
    exponent = np.polyfit(points[:, 0], points[:, 1], 1)[0]
    yield Row(
        "dedup, exponent of the growth of CPU time",
        float(exponent),
        "power",
        target=1.35,
        op="<=",
        baseline=2.0,
    )


def calls_rows(seed: int, quick: bool) -> Iterator[Row]:
    """How many times fewer calls of a model than one for each pair of clips (bar 2)."""
    with tempfile.TemporaryDirectory() as name, JudgeProcess(Path(name)) as judge:
        store = Store(f"{name}/store")
        prepared = _world_clips(store, seed, 40)
        before = _asked(judge)
        _deduplicated(store, prepared, judge)
        yield _calls("dedup of 40 world clips", prepared.rows, _asked(judge) - before, target=40.0)
        count = 2_000 if quick else 10_000
        planted = _planted_clips(store, seed, count)
        before = _asked(judge)
        _deduplicated(store, planted, judge)
        target = None if quick else 10_000.0
        yield _calls(f"dedup of {count:,} planted clips", count, _asked(judge) - before, target=target)


def plant(folder: Path, size: int, seed: int) -> None:
    """Embeddings about topics, a tenth of them noisy copies of others, as float32 files of a chunk each.

    Copies have cosines of 0.92 to 0.99 with their originals; unrelated ones of a topic about 0.5. The
    originals' numbers are in `originals.npy`.
    """
    rng = np.random.default_rng([seed, size])
    unique = size - round(_COPIES * size)
    topics = rng.standard_normal((max(8, size // 200), DIMENSIONS), dtype=np.float32)
    path = folder / "embeddings.npy"
    table = np.lib.format.open_memmap(path, "w+", np.float32, (size, DIMENSIONS))
    for begin in range(0, unique, _CHUNK):
        end = min(begin + _CHUNK, unique)
        noise = rng.standard_normal((end - begin, DIMENSIONS), dtype=np.float32)
        table[begin:end] = _unit(topics[rng.integers(len(topics), size=end - begin)] + noise)
    originals = rng.integers(0, unique, size - unique)
    np.save(folder / "originals.npy", originals)
    for begin in range(0, len(originals), _CHUNK):
        some = originals[begin : begin + _CHUNK]
        cosine = rng.uniform(0.92, 0.99, (len(some), 1)).astype(np.float32)
        noise = _unit(rng.standard_normal((len(some), DIMENSIONS), dtype=np.float32))
        place = unique + begin
        table[place : place + len(some)] = cosine * table[some] + np.sqrt(1 - cosine**2) * noise
    table.flush()


def in_clusters(vectors: Int8) -> npt.NDArray[np.int64]:
    """For each embedding the kept one whose copy it is, -1 for none, by dedup's four steps."""
    layout, config = Layout((DIMENSIONS,)), dedup.DedupConfig()
    count = cluster_count(len(vectors), exact_below=config.exact_below, cluster_size=config.cluster_size)
    centroids = fit(vectors[: 32 * count], count, layout)
    nearest = assign(vectors, centroids, config.probes, layout)
    home_order = np.argsort(nearest[:, 0], kind="stable")
    home_ends = np.searchsorted(nearest[home_order, 0], np.arange(count + 1))
    visits = np.argsort(nearest.ravel(), kind="stable")
    visit_ends = np.searchsorted(nearest.ravel()[visits], np.arange(count + 1))
    found = [Edges.none()]
    for cluster in range(count):
        home = home_order[home_ends[cluster] : home_ends[cluster + 1]]
        visitors = visits[visit_ends[cluster] : visit_ends[cluster + 1]] // nearest.shape[1]
        found.append(
            prune(home, vectors[home], visitors, vectors[visitors], min_cosine=_THRESHOLD, layout=layout)
        )
    edges = unique_edges(
        *(np.concatenate([getattr(e, name) for e in found]) for name in ("first", "second", "cosine"))
    )
    return merge(np.arange(len(vectors)), edges.first, edges.second, edges.cosine)


def by_all_pairs(vectors: Float32) -> npt.NDArray[np.int64]:
    """The alternative: faiss compares every pair."""
    import faiss

    faiss.omp_set_num_threads(_CORES)
    index = faiss.IndexFlatIP(DIMENSIONS)
    index.add(vectors)
    first, second, cosine = [], [], []
    for begin in range(0, len(vectors), 1000):
        ends, scores, others = index.range_search(vectors[begin : begin + 1000], _THRESHOLD)
        counts = (ends[1:] - ends[:-1]).astype(np.int64)
        own = begin + np.repeat(np.arange(len(counts)), counts)
        first.append(own)
        second.append(others)
        cosine.append(scores)
    edges = unique_edges(np.concatenate(first), np.concatenate(second), np.concatenate(cosine))
    return merge(np.arange(len(vectors)), edges.first, edges.second, edges.cosine)


_THRESHOLD = 0.85


def _measure(folder: Path, size: int, method: str) -> dict[str, float]:
    """Seconds, peak memory in GiB, planted copies that were found, and others that were dropped."""
    start, started = time.perf_counter(), time.process_time()
    table = np.load(folder / "embeddings.npy", mmap_mode="r")
    if method == "exact":
        partner = by_all_pairs(np.array(table))
    else:
        vectors = np.empty(table.shape, np.int8)
        for begin in range(0, size, _CHUNK):
            vectors[begin : begin + _CHUNK] = quantise(np.array(table[begin : begin + _CHUNK]))
        del table
        partner = in_clusters(vectors)
    seconds, cpu = time.perf_counter() - start, time.process_time() - started
    planted = len(np.load(folder / "originals.npy"))
    return {
        "seconds": seconds,
        "cpu": cpu,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "planted": planted,
        "hits": int((partner[size - planted :] >= 0).sum()),
        "wrong": int((partner[: size - planted] >= 0).sum()),
    }


def _child(folder: Path, size: int, method: str) -> dict[str, float]:
    """Measure in a process of its own, on two cores."""
    command = [sys.executable, "-m", "benchmarks.curate.dedup_scale", str(folder), str(size), method]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(_CORES), "OMP_NUM_THREADS": str(_CORES)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _asked(judge: JudgeProcess) -> int:
    """Requests that the server has answered."""
    return int(sum(judge.settled()["requests"].values()))


def _calls(what: str, clips: int, calls: int, *, target: float | None) -> Row:
    """Pairs of clips for each call; no call at all counts as one."""
    pairs = math.comb(clips, 2)
    return Row(
        f"{what}: pairs for each call of a model ({calls} calls)",
        pairs / max(calls, 1),
        "times fewer",
        target=target,
        baseline=1.0,
    )


def _deduplicated(store: Store, clips: Manifest, judge: JudgeProcess) -> Manifest:
    config = dedup.DedupConfig.model_validate({"judge": {"endpoints": [judge.url]}})
    return dedup.run(clips=clips, config=config, context=_context(store, "dedup", clips.digest))


def _context(store: Store, stage: str, key: str = "key") -> Context:
    return Context(stage=stage, store=store, seed=0, key=key, workers=_CORES)


def _world_clips(store: Store, seed: int, count: int) -> Manifest:
    """Prepared clips of the world, half of them flawed."""
    chosen = configs(WorldSpec(clips=count, seed=seed, flaws=0.5))
    sources = collect.run(
        config=collect.CollectConfig.model_validate(chosen["collect"]), context=_context(store, "collect")
    )
    return prepare.run(
        sources=sources,
        config=prepare.PrepareConfig.model_validate(chosen["prepare"]),
        context=_context(store, "prepare"),
    )


def _planted_clips(store: Store, seed: int, count: int) -> Manifest:
    """Clips whose signatures are blobs that drift over textured walls; a tenth are altered copies."""
    rng = np.random.default_rng([seed, count])
    unique = count - count // 10
    signatures = []
    for _ in range(unique):
        wall = cv2.resize(rng.uniform(0, 200, (4, 4, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        start, end, tint = rng.uniform(2, 14, 2), rng.uniform(2, 14, 2), rng.uniform(0, 255, 3)
        frames = np.repeat(wall[None], STEPS, axis=0)
        for step, frame in enumerate(frames):
            x, y = start + (end - start) * step / (STEPS - 1)
            near = np.exp(-((np.arange(SIDE) - x) ** 2 + (np.arange(SIDE)[:, None] - y) ** 2) / 8)[:, :, None]
            frame[:] = frame * (1 - near) + tint * near
        signatures.append(np.clip(frames, 0, 255).astype(np.uint8))
    for original in rng.integers(0, unique, count - unique):
        copy = signatures[original] + rng.normal(0, 2, (STEPS, SIDE, SIDE, 3))
        signatures.append(np.clip(copy[:, :, :: rng.choice((1, -1))], 0, 255).astype(np.uint8))
    names = [f"{number:08d}" for number in range(count)]
    return Manifest(
        stage="prepare",
        config_digest="",
        rows=count,
        tables={
            "clips": store.put_table(
                (_clip(store, name, s) for name, s in zip(names, signatures, strict=True)), Clip
            ),
            "signatures": store.put_table(
                (
                    ClipSignature(clip_id=name, signature=Signature(s).to_text(), seconds=2.0)
                    for name, s in zip(names, signatures, strict=True)
                ),
                ClipSignature,
            ),
        },
    )


def _clip(store: Store, name: str, pictures: npt.NDArray[np.uint8]) -> Clip:
    _, jpeg = cv2.imencode(".jpg", cv2.resize(pictures[STEPS // 2], (64, 64)))
    frame = store.put_bytes(jpeg.tobytes(), ".jpg")
    nothing = FileRef(path="objects/none", sha256="0" * 64, bytes=0)
    return Clip(
        clip_id=name,
        source=Source(source_id=name, name=name, file=nothing, origin="planted", ml_training="allowed"),
        shot=0,
        start=0.0,
        media=nothing,
        facts=MediaFacts(
            width=64, height=64, fps=8, frames=17, seconds=2.125, audio_rate=48_000, audio_seconds=2.125
        ),
        signals=Signals(
            motion=1, sharpness=0.5, luma=90, contrast=40, text=0, bars=0, loudness=-20, clipped=0, sync=0.0
        ),
        packet_hash=name,
        frame_hashes=[],
        key_frames=[frame],
    )


def _unit(vectors: Float32) -> Float32:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
