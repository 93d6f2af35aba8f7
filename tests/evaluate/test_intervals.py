"""Intervals against published and independently computed values."""

import numpy as np
import pytest

from veo_core.evaluate.intervals import bootstrap_mean, bootstrap_median, clustered_share, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table I: Wilson without continuity correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_of_published_counts_gives_published_interval(successes, n, low, high):
    estimate = wilson(successes, n)
    assert estimate.value == successes / n
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-5)


def test_wilson_of_all_right_mirrors_none_right():
    none, every = wilson(0, 12), wilson(12, 12)
    assert every.high == 1.0
    assert every.low == pytest.approx(1 - none.high)


def test_wilson_without_data_has_no_value():
    assert wilson(0, 0).value is None


def test_wilson_covers_the_true_share_about_95_percent_of_the_time():
    rng = np.random.default_rng(3)
    for share in (0.1, 0.5, 0.9):
        drawn = rng.binomial(40, share, size=2000)
        covered = np.mean([wilson(int(k), 40).low <= share <= wilson(int(k), 40).high for k in drawn])
        assert 0.92 <= covered <= 0.98


def test_clustered_share_of_single_events_equals_wilson():
    hits = [1, 0, 1, 1, 0, 1, 1, 0, 1, 1]
    clustered, plain = clustered_share(hits, [1] * 10), wilson(7, 10)
    assert clustered.value == plain.value
    # The design effect of independent single events is k / (k - 1).
    assert clustered.low == pytest.approx(plain.low, abs=0.02)
    assert clustered.low <= plain.low


def test_clustered_share_of_dependent_events_is_as_wide_as_that_of_clusters():
    # Four events that always agree are one event.
    hits = [4, 0, 4, 4, 0, 4, 4, 0, 4, 4]
    dependent, single = clustered_share(hits, [4] * 10), clustered_share([h // 4 for h in hits], [1] * 10)
    assert (dependent.low, dependent.high) == pytest.approx((single.low, single.high))


def test_clustered_share_of_no_success_counts_each_cluster_once():
    assert clustered_share([0, 0, 0, 0], [5, 5, 5, 5]).high == pytest.approx(wilson(0, 4).high)


def test_clustered_share_without_events_has_no_value():
    assert clustered_share([0, 0], [0, 0]).value is None


def test_bootstrap_mean_of_normal_data_equals_the_normal_interval():
    values = np.random.default_rng(0).normal(10, 2, size=400).tolist()
    estimate = bootstrap_mean(values, seed=1)
    half = 1.96 * float(np.std(values, ddof=1)) / 20
    assert estimate.value == pytest.approx(float(np.mean(values)))
    assert estimate.low == pytest.approx(estimate.value - half, abs=0.03)
    assert estimate.high == pytest.approx(estimate.value + half, abs=0.03)


def test_bootstrap_median_of_constant_has_no_width():
    estimate = bootstrap_median([2.0] * 9, seed=0)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (2.0, 2.0, 2.0, 9)


def test_bootstrap_with_equal_seed_repeats():
    values = [1.0, 2.0, 5.0, 9.0]
    assert bootstrap_mean(values, seed=7) == bootstrap_mean(values, seed=7)
