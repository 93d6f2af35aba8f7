"""Distances between sets against scipy, torchmetrics and cases worked out by hand."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from veo_core.evaluate.distances import (
    compare,
    frechet,
    frechet_shrunk,
    gaussian_mmd,
    polynomial_mmd,
    shrunk_covariance,
)


class Flat(torch.nn.Module):
    """Features that are the numbers of a picture themselves."""

    num_features = 12

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double().flatten(1)


def sets(seed: int, n: int = 120, m: int = 90, d: int = 12, shift: float = 30.0):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((d, d))
    first = np.clip(128 + 20 * rng.standard_normal((n, d)) @ mix / 3, 0, 255)
    second = np.clip(128 + shift + 25 * rng.standard_normal((m, d)), 0, 255)
    return np.rint(first), np.rint(second)


def as_pictures(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).to(torch.uint8).reshape(len(values), 3, 2, 2)


@pytest.mark.parametrize("seed", range(3))
def test_frechet_equals_scipy(seed):
    a, b = sets(seed)
    ca, cb = (np.cov(x, rowvar=False) for x in (a, b))
    root = scipy.linalg.sqrtm(ca @ cb).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(ca + cb - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_equals_torchmetrics():
    a, b = sets(5)
    metric = FrechetInceptionDistance(feature=Flat(), normalize=False, input_img_size=(3, 2, 2))
    metric.set_dtype(torch.float64)
    metric.update(as_pictures(b), real=True)
    metric.update(as_pictures(a), real=False)
    assert frechet(a, b) == pytest.approx(float(metric.compute()), rel=1e-3)


def test_polynomial_mmd_equals_torchmetrics():
    a, b = (x[:80] / 16.0 for x in sets(6))
    a, b = np.rint(a), np.rint(b)
    metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=80, normalize=False)
    metric.update(as_pictures(b), real=True)
    metric.update(as_pictures(a), real=False)
    assert polynomial_mmd(a, b) == pytest.approx(float(metric.compute()[0]), rel=1e-3)


def test_gaussian_mmd_equals_sums_over_all_pairs():
    a, b = sets(7, n=9, m=8)
    width = np.median([np.linalg.norm(b[i] - b[j]) for i in range(8) for j in range(i)])

    def k(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * width**2))

    aa = np.mean([k(a[i], a[j]) for i in range(9) for j in range(9) if i != j])
    bb = np.mean([k(b[i], b[j]) for i in range(8) for j in range(8) if i != j])
    ab = np.mean([k(x, y) for x in a for y in b])
    assert gaussian_mmd(a, b) == pytest.approx(aa + bb - 2 * ab, rel=1e-9)


def test_frechet_of_shifted_set_is_the_square_of_the_shift():
    a = np.random.default_rng(0).standard_normal((50, 4))
    assert frechet(a + np.array([3.0, 4.0, 0.0, 0.0]), a) == pytest.approx(25.0)


def test_frechet_of_a_doubled_line_is_known():
    # One dimension: (mean difference)^2 + (difference of standard deviations)^2.
    a = np.array([[0.0], [2.0]])
    b = np.array([[0.0], [4.0]])
    assert frechet(a, b) == pytest.approx(1.0 + (np.sqrt(8.0) - np.sqrt(2.0)) ** 2)


def test_shrunk_covariance_is_that_of_ledoit_and_wolf():
    x = np.random.default_rng(1).standard_normal((15, 20))
    n, d = x.shape
    x = x - x.mean(0)
    s = x.T @ x / n
    mu = np.trace(s) / d
    delta = np.sum((s - mu * np.eye(d)) ** 2)
    beta = min(sum(np.sum((np.outer(row, row) - s) ** 2) for row in x) / n**2, delta)
    expected = beta / delta * mu * np.eye(d) + (1 - beta / delta) * s
    np.testing.assert_allclose(shrunk_covariance(x), expected, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(8, 30))
def test_distances_are_symmetric_at_least_zero_and_zero_for_equal_sets(seed, d, n):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((n, d)), 2 * rng.standard_normal((n + 3, d)) + 1
    for distance in (frechet, frechet_shrunk):
        assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-6, abs=1e-9)
        assert distance(a, b) >= 0
        assert distance(a, a) == pytest.approx(0.0, abs=1e-6)


def groups(seed: int, count: int, shift: float = 0.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [shift + rng.standard_normal((4, 5)) for _ in range(count)]


@pytest.mark.parametrize("distance", [frechet_shrunk, gaussian_mmd])
def test_compare_puts_a_like_set_near_the_floor_and_noise_at_the_ceiling(distance):
    real, wrong = groups(0, 40), groups(9, 40, shift=4.0)
    like = compare(groups(1, 40), real, wrong, distance, seed=0)
    away = compare(groups(1, 40, shift=1.0), real, wrong, distance, seed=0)
    assert like.floor is not None
    assert like.ceiling is not None
    assert like.estimate.low < like.estimate.value < like.estimate.high
    assert (
        like.estimate.value
        < 2 * max(like.floor, 0.02)
        < away.estimate.low
        < away.estimate.high
        < like.ceiling
    )
    assert like.estimate.n == 40


def test_compare_interval_narrows_with_more_clips():
    widths = []
    for count in (10, 40, 160):
        found = compare(groups(3, count, 0.5), groups(4, count), [], frechet_shrunk, seed=0).estimate
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


def test_compare_interval_covers_the_distance_of_large_sets():
    truth = frechet(np.concatenate(groups(50, 4000, 0.8)), np.concatenate(groups(51, 4000)))
    inside = 0
    for seed in range(20):
        own, real = groups(100 + seed, 60, 0.8), groups(300 + seed, 60)
        found = compare(own, real, [], frechet, seed=seed).estimate
        inside += found.low <= truth <= found.high
    assert inside >= 16


def test_compare_of_one_clip_is_no_figure():
    found = compare(groups(0, 1), groups(1, 10), [], frechet, seed=0)
    assert found.estimate.value is None
