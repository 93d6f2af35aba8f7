"""The whole of curation, killed at random moments, with a failing server, and run in other ways."""

import random

import pytest
from curation import Curation, judged_by

from benchmarks.curate.chain import STAGES, Chain, configs
from benchmarks.curate.faults import (
    PATIENCE,
    RATES,
    altered,
    asks,
    lost_items,
    quarantined_by_refusal,
    world_without_twins,
)
from benchmarks.curate.judge import JudgeProcess
from benchmarks.curate.kills import run_killed
from veo_core.storage import Store
from veo_core.world.truth import WorldSpec

PARTED = dict.fromkeys(("collect", "prepare", "describe", "safety_filter", "quality_filter", "annotate"), 3)


@pytest.fixture
def own_judge(tmp_path):
    """A judge that has answered nothing yet."""
    with JudgeProcess(tmp_path) as judge:
        yield judge


@pytest.mark.thorough
def test_curation_that_is_killed_gives_what_it_gives_undisturbed_and_repeats_no_finished_request(
    tmp_path, judge, own_judge
):
    world = WorldSpec(clips=32, seed=61, flaws=0.3)
    with judged_by(judge):
        undisturbed = Curation.of(world, Store(str(tmp_path / "undisturbed")))
    own_judge.set_faults(slow=1.0, slow_seconds=0.1)
    chain = Chain(tmp_path / "killed", configs(world), own_judge.url)
    kills = ["collect", "prepare", "describe", "quality_filter", "annotate", "package"]
    damage = run_killed(chain, own_judge, kills, dict.fromkeys(STAGES, 4.0), random.Random(61))
    assert chain.manifest_bytes() == undisturbed.manifest_bytes()
    assert (damage.kills, damage.repeated) == (len(kills), 0)


@pytest.mark.thorough
def test_curation_with_a_failing_server_loses_nothing_and_keeps_no_error_as_an_answer(
    tmp_path, judge, own_judge
):
    world = world_without_twins(64, seed=62)
    changes = {stage: {"judge": PATIENCE} for stage in STAGES if asks(stage)}
    with judged_by(judge):
        healthy = Curation.of(world, Store(str(tmp_path / "healthy")), changes=changes)
    own_judge.set_faults(**RATES, seed=62)
    with judged_by(own_judge):
        faulty = Curation.of(world, Store(str(tmp_path / "faulty")), changes=changes)
    outcomes = own_judge.settled()["outcomes"]
    assert all(outcomes.get(kind) for kind in ("429 too_many", "500 error", "200 malformed", "200 refusal"))
    assert lost_items(faulty) == 0
    assert altered(healthy, faulty) == 0
    assert quarantined_by_refusal(faulty) == outcomes["200 refusal"]
    assert not [d for stage in STAGES if asks(stage) for d in faulty.ledger(stage) if d.verdict == "failed"]


@pytest.mark.thorough
def test_curation_in_one_process_in_parts_in_a_pool_and_on_ray_gives_equal_manifests(tmp_path, judge):
    world = WorldSpec(clips=40, seed=63, flaws=0.4)
    ways = {
        "one process": {"workers": 1},
        "parts": {"workers": 1, "parts": PARTED},
        "pool": {"workers": 2},
        "ray": {"workers": 2, "executor": "ray"},
    }
    with judged_by(judge):
        manifests = {
            way: Curation.of(world, Store(str(tmp_path / way)), **details).manifest_bytes()
            for way, details in ways.items()
        }
    for way in ways:
        assert manifests[way] == manifests["one process"], way
