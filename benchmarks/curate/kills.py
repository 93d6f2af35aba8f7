"""Curation that is killed again and again gives what it gives undisturbed, and asks nothing twice.

A stage is killed with its whole process group at a random moment and started again. An answer counts as
finished as soon as its mark is in the store; the server may have sent others just before a kill, and only
those may be asked for again.
"""

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curate.chain import STAGES, Chain, configs, end
from benchmarks.curate.judge import JudgeProcess
from benchmarks.report import Row
from veo_core.world.truth import WorldSpec

_ANSWER_SECONDS = 0.03  # so that requests are under way at any moment of a stage that asks


@dataclass(frozen=True)
class Damage:
    """What kills have cost.

    Attributes:
        kills: how many times a stage was killed.
        asked: requests that the server answered.
        lost: answers that were sent, but not kept when a kill came.
        repeated: answers to questions whose answer was kept already.
    """

    kills: int
    asked: int
    lost: int
    repeated: int


def rows(seed: int, quick: bool, folder: Path) -> Iterator[Row]:
    """Twenty kills (eight where it must be quick), at least one of them in each stage."""
    world = WorldSpec(clips=40 if quick else 200, seed=seed, flaws=0.3)
    rng = random.Random(seed)
    chosen = configs(world, {"package": {"clips_per_shard": 16}})
    with JudgeProcess(folder) as judge:
        judge.set_faults(slow=1.0, slow_seconds=_ANSWER_SECONDS)
        undisturbed = Chain(folder / "undisturbed", chosen, judge.url)
        seconds = {stage: run_timed(undisturbed, stage) for stage in STAGES}
    more = rng.choices(STAGES, [seconds[stage] for stage in STAGES], k=0 if quick else 20 - len(STAGES))
    kills = [*STAGES, *more]
    with JudgeProcess(folder) as judge:
        judge.set_faults(slow=1.0, slow_seconds=_ANSWER_SECONDS)
        chain = Chain(folder / "killed", chosen, judge.url)
        damage = run_killed(chain, judge, kills, seconds, rng)
    before, after = undisturbed.manifest_bytes(), chain.manifest_bytes()
    differing = [stage for stage in STAGES if before[stage] != after[stage]]
    yield Row("kills, over all stages", damage.kills, "kills", target=len(kills))
    yield Row("manifests that differ from an undisturbed run's", len(differing), "stages", target=0, op="<=")
    yield Row("requests repeated for a finished item", damage.repeated, "requests", target=0, op="<=")
    yield Row("answers in flight when a kill came, asked again", damage.lost, f"of {damage.asked}")


def run_timed(chain: Chain, stage: str) -> float:
    """Run a stage to its end; the seconds that it took."""
    start = time.perf_counter()
    chain.run([stage])
    return time.perf_counter() - start


def run_killed(
    chain: Chain,
    judge: JudgeProcess,
    kills: Sequence[str],
    seconds: dict[str, float],
    rng: random.Random,
) -> Damage:
    """Run every stage to its end, after it was killed as often as it occurs in `kills`.

    Args:
        chain: what to run; nothing of it has run yet.
        judge: its server, which has answered nothing yet.
        kills: names of stages.
        seconds: how long each stage takes undisturbed.
        rng: draws the moments.
    """
    lost = 0
    for stage in STAGES:
        for _ in range(kills.count(stage)):
            _kill(chain, stage, seconds[stage], rng)
            lost = _answers(judge) - _kept_answers(chain)
        chain.run([stage])
    asked = _answers(judge)
    return Damage(len(kills), asked, lost, asked - _kept_answers(chain) - lost)


def _kill(chain: Chain, stage: str, within: float, rng: random.Random) -> None:
    """Kill a run of a stage at a random moment; what an earlier run has done makes a later one shorter."""
    while True:
        process = chain.start(stage)
        try:
            process.wait(timeout=rng.uniform(0.0, within))
        except subprocess.TimeoutExpired:
            end(process)
            return
        chain.check(stage, process.returncode)
        within /= 2


def _answers(judge: JudgeProcess) -> int:
    """Requests that were answered, as the server counts them, once none is under way."""
    return sum(counts.get("200", 0) for counts in judge.settled()["bodies"].values())


def _kept_answers(chain: Chain) -> int:
    marks = Path(chain.store.root, "marks", "judge")
    return sum(path.is_file() and not path.name.startswith(".") for path in marks.rglob("*"))
