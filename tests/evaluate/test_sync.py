"""Matching of contacts and onsets against exhaustive search and known shifts."""

from itertools import combinations, permutations

import numpy as np
import pytest

from veo_core.evaluate.sync import exchange, match_events


def exhaustive(contacts, onsets, tolerance):
    """(pairs, total error) of the best one-to-one matching, by trying all of them."""
    best = (0, 0.0)
    for size in range(1, min(len(contacts), len(onsets)) + 1):
        for chosen in combinations(range(len(contacts)), size):
            for partners in permutations(range(len(onsets)), size):
                errors = [abs(onsets[o] - contacts[c]) for c, o in zip(chosen, partners, strict=True)]
                if max(errors) <= tolerance and (-size, sum(errors)) < (-best[0], best[1]):
                    best = (size, sum(errors))
    return best


def test_match_of_random_events_equals_exhaustive_search():
    rng = np.random.default_rng(5)
    for _ in range(60):
        contacts = rng.uniform(0, 1, rng.integers(0, 5)).tolist()
        onsets = rng.uniform(0, 1, rng.integers(0, 5)).tolist()
        matches = match_events(contacts, onsets, 0.2)
        pairs, error = exhaustive(contacts, onsets, 0.2)
        assert len(matches) == pairs
        assert sum(abs(match.error) for match in matches) == pytest.approx(error)
        assert len({match.contact for match in matches}) == len({match.onset for match in matches}) == pairs


def test_match_of_one_onset_between_two_contacts_counts_it_once():
    matches = match_events([0.50, 0.56], [0.55], 0.1)
    assert [(match.contact, match.onset) for match in matches] == [(1, 0)]
    assert matches[0].error == pytest.approx(-0.01)


def test_match_prefers_two_pairs_over_one_closer_pair():
    assert len(match_events([0.0, 0.1], [0.09, 0.19], 0.1)) == 2


def test_match_of_identical_times_has_no_error():
    times = [0.2, 0.9, 1.4]
    assert [match.error for match in match_events(times, times, 0.05)] == [0.0, 0.0, 0.0]


def test_match_beyond_tolerance_is_none():
    assert match_events([0.5], [0.61], 0.1) == []


def test_matched_share_falls_as_sound_is_shifted_further():
    contacts = np.arange(0.2, 40, 0.7).tolist()
    noise = np.random.default_rng(1).normal(0, 0.02, len(contacts))
    shares = [
        len(match_events(contacts, [t + n + shift for t, n in zip(contacts, noise, strict=True)], 0.05))
        for shift in (0.0, 0.03, 0.06, 0.1, 0.3)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9 * len(contacts)
    assert shares[-1] == 0


def test_exchange_never_leaves_a_clip_its_own_sound():
    pairs = exchange(7, rounds=3, seed=0)
    assert len(pairs) == 21
    assert all(picture != sound for picture, sound in pairs)
    assert len(set(pairs)) == 21


def test_exchange_of_one_clip_is_empty():
    assert exchange(1, rounds=5, seed=0) == []
    assert exchange(0, rounds=5, seed=0) == []
