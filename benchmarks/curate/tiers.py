"""One container, parts of a pipeline, a pool of processes, Ray: the same work gives the same manifests."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.curate.chain import STAGES, Chain, Configs, configs
from benchmarks.curate.judge import JudgeProcess
from benchmarks.report import Row
from veo_core.world.truth import WorldSpec

PARTS = 4
PARTED = ("collect", "prepare", "describe", "safety_filter", "quality_filter", "annotate")


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """1,000 clips in each tier, each in a store of its own."""
    world = WorldSpec(clips=48 if quick else 1000, seed=seed, flaws=0.5)
    chosen = configs(world)
    seconds: dict[str, float] = {}
    manifests: dict[str, dict[str, bytes]] = {}
    with JudgeProcess(folder) as judge:
        for tier in TIERS:
            start = time.perf_counter()
            manifests[tier] = TIERS[tier](folder / tier, chosen, judge.url).manifest_bytes()
            seconds[tier] = time.perf_counter() - start
    for tier in TIERS:
        yield Row(f"all stages, {tier}", world.clips / seconds[tier], "files/s")
    for tier in list(TIERS)[1:]:
        differing = [stage for stage in STAGES if manifests[tier][stage] != manifests["in process"][stage]]
        yield Row(f"manifests that differ, {tier}", len(differing), f"of {len(STAGES)}", target=0, op="<=")


def in_process(folder: Path, chosen: Configs, judge: str) -> Chain:
    """Each stage in one process."""
    chain = Chain(folder, chosen, judge, workers=1)
    chain.run()
    return chain


def in_parts(folder: Path, chosen: Configs, judge: str) -> Chain:
    """Each stage in parts, as the pipeline's loop over shard numbers runs them, then whole."""
    chain = Chain(folder, chosen, judge, workers=1)
    for stage in STAGES:
        for part in range(PARTS if stage in PARTED else 0):
            chain.run([stage], "--part", f"{part}/{PARTS}")
        chain.run([stage])
    return chain


def in_pool(folder: Path, chosen: Configs, judge: str) -> Chain:
    """Each stage in a pool of two processes."""
    chain = Chain(folder, chosen, judge, workers=2)
    chain.run()
    return chain


def on_ray(folder: Path, chosen: Configs, judge: str) -> Chain:
    """Each stage that works in shards with Ray Data, on a cluster of this machine."""
    chain = Chain(folder, chosen, judge, workers=2, environment={"VEO_EXECUTOR": "ray"})
    chain.run()
    return chain


TIERS = {"in process": in_process, "in parts": in_parts, "pool": in_pool, "Ray": on_ray}
