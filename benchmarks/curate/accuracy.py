"""Precision and recall of curation on clips of the world, flaw by flaw.

A file has one flaw at most. A rule *names* a flaw where it decided on the file or one of its shots:
precision is the share of the files named so that have the flaw, recall the share of the files with the
flaw that are named so.
"""

import itertools
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.curate.chain import STAGES, Chain, Curated, configs
from benchmarks.curate.judge import JudgeProcess
from benchmarks.report import Row
from veo_core.evaluate.intervals import wilson
from veo_core.records.ledger import Decision
from veo_core.world.plan import Plan, plan
from veo_core.world.truth import DUPLICATES, Flaw, WorldSpec, clip_name

Rule = tuple[str, str]

# What the ledger must say of a file with a flaw: a stage, and a rule by which it decided.
NAMES: dict[Flaw, tuple[Rule, ...]] = {
    "rights_missing": (("collect", "rights"),),
    "rights_denied": (("collect", "rights"),),
    "too_short": (("prepare", "too_short"),),
    "too_long": (("prepare", "too_long"),),
    "oversized": (("prepare", "limit"),),
    "corrupt": (("prepare", "undecodable"),),
    "truncated": (("prepare", "undecodable"),),
    "harmful": (("safety_filter", "unsafe:hazard"),),
    "too_dark": (("quality_filter", "dark"),),
    "too_bright": (("quality_filter", "bright"),),
    "static": (("quality_filter", "static"),),
    "blurred": (("quality_filter", "blurred"),),
    "burnt_in_text": (("quality_filter", "burnt_in_text"),),
    "silent": (("quality_filter", "silent"), ("quality_filter", "no_audio")),
    "clipped_sound": (("quality_filter", "clipped_sound"),),
    "out_of_sync": (("quality_filter", "out_of_sync"),),
}
COPIES = ("exact_duplicate", "near_duplicate")
PRECISION, RECALL = 0.98, 0.95

_NAME = re.compile(r"clip-\d{6}\.mp4")


class Item(NamedTuple):
    """A decision with the file that it is about."""

    name: str
    decision: Decision


class Outcome:
    """What curation decided on each file, and what each file was planned to be."""

    def __init__(self, chain: Curated, world: WorldSpec) -> None:
        self.plans = {clip_name(index): plan(world, index) for index in range(world.clips)}
        self.clips = {clip.clip_id: clip for clip in chain.clips("prepare")}
        names = {source.source_id: source.name for source in chain.sources()}
        for decision in chain.ledger("collect"):
            if decision.source not in names:
                names[decision.source] = name_in(decision)
        self.items = [
            Item(names[decision.source], decision) for stage in STAGES for decision in chain.ledger(stage)
        ]
        kept = {decision.item for decision in chain.ledger("package") if decision.verdict == "kept"}
        self.kept = {self.clips[item].source.name for item in kept}

    def named(self, rules: Iterable[Rule]) -> set[str]:
        """Files on which one of the rules decided."""
        return {name for name, d in self.items if (d.stage, d.rule) in rules}

    def with_flaw(self, *flaws: Flaw | None) -> set[str]:
        return {name for name, planned in self.plans.items() if planned.flaw in flaws}

    def scene(self, clip_id: str) -> tuple[str, int]:
        """What a clip shows: the file that was filmed first, and the shot in it."""
        clip = self.clips[clip_id]
        partner = self.plans[clip.source.name].partner
        return clip.source.name if partner is None else clip_name(partner), clip.shot


def name_in(decision: Decision) -> str:
    """The file that a decision of collect is about."""
    found = _NAME.search(decision.evidence)
    if found is None:
        raise RuntimeError(f"the ledger of {decision.stage} does not name the file of {decision.item}")
    return found[0]


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """1,000 clips, half of them flawed, through the commands of every stage."""
    world = WorldSpec(clips=150 if quick else 1000, seed=seed, flaws=0.5)
    start = time.perf_counter()
    with JudgeProcess(folder) as judge:
        chain = Chain(folder / "accuracy", configs(world), judge.url)
        chain.run()
    seconds = time.perf_counter() - start
    outcome = Outcome(chain, world)
    yield from _flaws(outcome)
    yield from _splits(outcome)
    yield from _copies(outcome, chain)
    yield from _footage(outcome)
    yield Row("curation of these clips, all stages", world.clips / seconds, "files/s")


def _flaws(outcome: Outcome) -> Iterator[Row]:
    for rules, flaws in _by_rules().items():
        named, flawed = outcome.named(rules), outcome.with_flaw(*flaws)
        yield _share(f"{' or '.join(flaws)}: precision", len(named & flawed), len(named), PRECISION)
        for flaw in flaws:
            having = outcome.with_flaw(flaw)
            yield _share(f"{flaw}: recall", len(named & having), len(having), RECALL)


def _by_rules() -> dict[tuple[Rule, ...], list[Flaw]]:
    """Flaws by the rules that name them: a rule of several flaws is right about each of them."""
    flaws: dict[tuple[Rule, ...], list[Flaw]] = defaultdict(list)
    for flaw, rules in NAMES.items():
        flaws[rules].append(flaw)
    return flaws


def _splits(outcome: Outcome) -> Iterator[Row]:
    """Cuts and a varying frame rate are no reason to drop a file: they are handled."""
    shots = Counter(clip.source.name for clip in outcome.clips.values())
    split = {name for name, count in shots.items() if count == 2}
    more = {name for name, count in shots.items() if count > 1}
    cut = outcome.with_flaw("two_shots")
    yield _share("two_shots, split in two: precision", len(more & cut), len(more), PRECISION)
    yield _share("two_shots, split in two: recall", len(split & cut), len(cut), RECALL)
    uneven = outcome.with_flaw("variable_frame_rate") - _gone_as_copies(outcome)
    yield _share("variable_frame_rate, kept: recall", len(uneven & outcome.kept), len(uneven), RECALL)


def _copies(outcome: Outcome, chain: Curated) -> Iterator[Row]:
    """A pair of a copy and its original counts as found where not both of them pass dedup."""
    received = {clip.clip_id for clip in chain.clips("describe")}
    passed = {clip.clip_id for clip in chain.clips("dedup")}
    by_name: dict[str, list[str]] = defaultdict(list)
    for clip_id in received:
        by_name[outcome.clips[clip_id].source.name].append(clip_id)
    totals: Counter[str] = Counter()
    for flaw in DUPLICATES:
        pairs = found = 0
        for name in outcome.with_flaw(flaw):
            planned: Plan = outcome.plans[name]
            assert planned.partner is not None
            for one, other in itertools.product(by_name[name], by_name[clip_name(planned.partner)]):
                pairs += 1
                found += not {one, other} <= passed
        totals.update(pairs=pairs, found=found)
        yield _share(f"{flaw}: recall", found, pairs, RECALL)
    yield _share("duplicates of all kinds: recall", totals["found"], totals["pairs"], 0.99)
    dropped = [d for d in chain.ledger("dedup") if d.rule in COPIES]
    false = sum(outcome.scene(d.item) != outcome.scene(partner_of(d)) for d in dropped)
    yield _share("duplicates of all kinds: precision", len(dropped) - false, len(dropped), PRECISION)
    yield _share("false merges, of clips compared", false, len(received), 0.001, "<=")


def partner_of(decision: Decision) -> str:
    """The clip that a duplicate was found to be a copy of."""
    if decision.partner:
        return decision.partner
    return decision.evidence.split()[2]


def _footage(outcome: Outcome) -> Iterator[Row]:
    good = outcome.with_flaw(None) - _gone_as_copies(outcome)
    yield _share("footage without a flaw, kept", len(good & outcome.kept), len(good), PRECISION)
    bad = outcome.with_flaw(*NAMES)
    yield _share("footage with a flaw, in the dataset", len(bad & outcome.kept), len(bad), 0.02, "<=")


def _gone_as_copies(outcome: Outcome) -> set[str]:
    """Files that were dropped because a copy of them was kept."""
    return {name for name, d in outcome.items if d.stage == "dedup" and d.rule in COPIES}


def _share(metric: str, part: int, whole: int, target: float, op: str = ">=") -> Row:
    share = wilson(part, whole)
    value = float("nan") if share.value is None else share.value
    return Row(
        metric, value, f"of {whole}", share.low, share.high, target=target, op="<=" if op == "<=" else ">="
    )
