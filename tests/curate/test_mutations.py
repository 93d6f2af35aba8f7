"""Damaged and hostile media files (bar 8): each costs no more than itself, and goes on record."""

import pytest

from benchmarks.curate.mutations import ITEM_SECONDS, PEAK_MIB, examine, mutants


def check(folder, seed, count):
    outcome = examine(folder, seed, count)
    assert outcome["unrecorded"] == []
    assert outcome["invalid"] == []
    assert outcome["peak_mib"] < PEAK_MIB
    assert sum(outcome["rules"].values()) >= count
    assert outcome["rules"]["undecodable"] > 0.3 * count
    # Bombs that are short on the disk and long to decode: more than their time, or more than their frames.
    assert outcome["rules"]["timeout"] + outcome["rules"].get("limit", 0) >= 0.04 * count
    assert outcome["longest_seconds"] < 20 * ITEM_SECONDS  # it ends; how long a busy machine takes is open


def test_mutants_are_equal_for_equal_seeds_and_all_different():
    files = dict(mutants(3, 24))
    assert files == dict(mutants(3, 24))
    assert len(set(files.values())) == 24


@pytest.mark.thorough
def test_hundred_mutated_files_cost_nothing_but_themselves(tmp_path):
    check(tmp_path, 1, 100)


@pytest.mark.slow
def test_thousand_mutated_files_cost_nothing_but_themselves(tmp_path):
    check(tmp_path, 2, 1000)
