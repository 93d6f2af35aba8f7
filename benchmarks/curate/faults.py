"""Curation with a server that fails: it completes, loses nothing, and keeps no error as an answer."""

import importlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.curate.chain import STAGES, Chain, Curated, configs
from benchmarks.curate.judge import JudgeProcess
from benchmarks.report import Row
from veo_core.records.clip import Clip
from veo_core.stage import interface_of
from veo_core.world.truth import FLAWS, WorldSpec

RATES = {
    "too_many": 0.1,
    "error": 0.05,
    "malformed": 0.05,
    "refusal": 0.02,
    "slow": 0.01,
    "slow_seconds": 6.0,
    "retry_after": 0.05,
}
PATIENCE = {"timeout_seconds": 2.0}  # a third of a stall: a stalled request is given up and sent again


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """The same clips with a server that works and with one that fails."""
    world = world_without_twins(60 if quick else 400, seed)
    chosen = configs(world, {stage: {"judge": PATIENCE} for stage in STAGES if asks(stage)})
    with JudgeProcess(folder) as judge:
        healthy = Chain(folder / "healthy", chosen, judge.url)
        healthy.run()
    with JudgeProcess(folder) as judge:
        judge.set_faults(**RATES, seed=seed)
        faulty = Chain(folder / "faulty", chosen, judge.url)
        faulty.run()
        outcomes = Counter(judge.settled()["outcomes"])
    counts = [faulty.manifest(stage).counts for stage in STAGES]
    faults = sum(times for outcome, times in outcomes.items() if outcome != "200")
    yield Row("faults committed", faults, f"of {sum(outcomes.values())}")
    yield Row("stages completed", sum(count is not None for count in counts), "stages", target=len(STAGES))
    yield Row("items lost between or within stages", lost_items(faulty), "items", target=0, op="<=")
    unsettled = sum(d.verdict == "failed" for stage in STAGES if asks(stage) for d in faulty.ledger(stage))
    yield Row("items without an answer in the end", unsettled, "items", target=0, op="<=")
    refused, quarantined = outcomes["200 refusal"], quarantined_by_refusal(faulty)
    yield Row("refusals", refused, "requests")
    yield Row("refusals not quarantined", abs(refused - quarantined), "items", target=0, op="<=")
    yield Row("texts that a fault altered", altered(healthy, faulty), "texts", target=0, op="<=")


def world_without_twins(clips: int, seed: int) -> WorldSpec:
    """A world without exact duplicates, so that each clip asks a question of its own."""
    weights: Any = {flaw: float(flaw != "exact_duplicate") for flaw in FLAWS}
    return WorldSpec(clips=clips, seed=seed, flaws=0.3, flaw_weights=weights)


def asks(stage: str) -> bool:
    """Whether a stage asks a judge."""
    module = importlib.import_module(f"veo_core.curate.{stage}")
    return "judge" in interface_of(module.run).config.model_fields


def lost_items(chain: Curated) -> int:
    """Items that one stage kept and the next did not receive, or that it received and did not decide on."""
    manifests = [chain.manifest(stage) for stage in STAGES]
    lost = 0
    for before, after in pairwise(manifests):
        assert after.counts is not None
        lost += abs(before.rows - after.counts.received)
    for manifest in manifests:
        assert manifest.counts is not None
        received = manifest.counts.received + manifest.counts.added
        lost += abs(manifest.tables["ledger"].rows - received)
    return lost


def quarantined_by_refusal(chain: Curated) -> int:
    return sum(
        (d.verdict, d.rule) == ("quarantined", "judge_refusal") for s in STAGES for d in chain.ledger(s)
    )


def altered(healthy: Curated, faulty: Curated) -> int:
    """Descriptions and captions of kept clips that are not those that the working server gave."""
    stages = ("describe", "annotate")
    right = {(stage, clip.clip_id): _texts(clip) for stage in stages for clip in healthy.clips(stage)}
    given = [((stage, clip.clip_id), _texts(clip)) for stage in stages for clip in faulty.clips(stage)]
    # A clip that only this run annotates stands in for a better copy of it that was quarantined.
    return sum(texts != right[key] for key, texts in given if key in right)


def _texts(clip: Clip) -> tuple[str, ...]:
    said = [clip.description.text if clip.description else ""]
    if clip.annotation:
        said += [clip.annotation.caption, clip.annotation.short_caption, clip.annotation.sound]
    return tuple(said)
