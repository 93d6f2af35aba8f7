"""Distances between two sets of feature vectors, in float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.evaluate.intervals import NO_DATA, Z95, Estimate

Floats = npt.NDArray[np.float64]
Distance = Callable[[Floats, Floats], float]

_RESAMPLES = 200
_HALVINGS = 8


def frechet(sample: Floats, reference: Floats) -> float:
    """Fréchet distance of two Gaussians fitted to features [n, d] and [m, d], at least 0.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (1706.08500), with the covariance over
    n - 1. The trace of the root of the product is taken from eigenvalues of a symmetric matrix, which are
    real where those of the product itself come out complex.
    """
    return _frechet(sample, reference, _covariance)


def frechet_shrunk(sample: Floats, reference: Floats) -> float:
    """`frechet` of covariances shrunk to a multiple of the identity, for sets hardly larger than d.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    """
    return _frechet(sample, reference, shrunk_covariance)


def polynomial_mmd(sample: Floats, reference: Floats) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel (x.y / d + 1)^3; 0 in the mean if alike.

    Binkowski et al., "Demystifying MMD GANs" (1801.01401): the kernel distance of images, and of video with
    features of video.
    """

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.asarray((a @ b.T / a.shape[1] + 1.0) ** 3)

    return _mmd(sample, reference, kernel)


def gaussian_mmd(sample: Floats, reference: Floats) -> float:
    """Unbiased squared maximum mean discrepancy under a Gaussian kernel, as wide as the reference's median
    distance.

    Chung et al., "KAD: No More FAD!" (2502.15602). It assumes no distribution, and is unbiased at any
    number of clips.
    """
    width = _median_distance(reference) or 1.0

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.asarray(np.exp(-_squares(a, b) / (2.0 * width**2)))

    return _mmd(sample, reference, kernel)


def shrunk_covariance(features: Floats) -> Floats:
    """Ledoit and Wolf's estimate of the covariance of features [n, d]: [d, d]."""
    n, d = features.shape
    centred = features - features.mean(axis=0)
    sample = centred.T @ centred / n
    scale = np.trace(sample) / d
    spread = float(np.sum((sample - scale * np.eye(d)) ** 2))
    if spread == 0.0:
        return np.asarray(sample)
    # The mean of |x x' - sample|^2 over the rows, without forming each outer product.
    noise = float(np.sum(np.sum(centred**2, axis=1) ** 2)) / n - float(np.sum(sample**2))
    weight = min(1.0, max(0.0, noise / n) / spread)
    return np.asarray(weight * scale * np.eye(d) + (1.0 - weight) * sample)


@dataclass(frozen=True)
class Comparison:
    """A distance with its interval, its floor and its ceiling.

    Attributes:
        estimate: distance of the sample from the reference; n counts the sample's groups.
        floor: mean distance between halves of the reference; None where it has fewer than four groups.
        ceiling: distance of what is surely wrong from the reference; None where there is nothing.
    """

    estimate: Estimate
    floor: float | None
    ceiling: float | None


def compare(
    sample: Sequence[Floats],
    reference: Sequence[Floats],
    wrong: Sequence[Floats],
    distance: Distance,
    *,
    seed: int,
) -> Comparison:
    """A distance between groups of features, such as the windows of clips.

    The interval is a bootstrap over groups: 1.96 of its standard deviations on both sides of the estimate,
    because a resample repeats groups, which pushes distances up, so that percentiles of it are off.

    Args:
        sample: features [n_i, d] of each group; windows of a clip, or of the clips of a prompt.
        reference: the same of what is held to be right.
        wrong: the same of noise.
        distance: of [n, d] from [m, d].
        seed: of resampling and halving.
    """
    if len(sample) < 2 or len(reference) < 2:
        return Comparison(NO_DATA, None, None)
    rng = np.random.default_rng(seed)
    real = np.concatenate(reference)
    value = distance(np.concatenate(sample), real)
    drawn = [distance(_resampled(sample, rng), _resampled(reference, rng)) for _ in range(_RESAMPLES)]
    half = Z95 * float(np.std(drawn, ddof=1))
    floors = []
    for _ in range(_HALVINGS if len(reference) >= 4 else 0):
        order = rng.permutation(len(reference))
        halves = np.array_split(order, 2)
        floors.append(distance(*(np.concatenate([reference[i] for i in part]) for part in halves)))
    return Comparison(
        Estimate(value, value - half, value + half, len(sample)),
        float(np.mean(floors)) if floors else None,
        distance(np.concatenate(wrong), real) if len(wrong) > 1 else None,
    )


def _resampled(groups: Sequence[Floats], rng: np.random.Generator) -> Floats:
    return np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])


def _frechet(sample: Floats, reference: Floats, covariance: Callable[[Floats], Floats]) -> float:
    first, second = covariance(sample), covariance(reference)
    root = _root(first)
    values = np.linalg.eigvalsh(root @ second @ root)
    product = float(np.sum(np.sqrt(np.maximum(values, 0.0))))
    gap = float(np.sum((sample.mean(axis=0) - reference.mean(axis=0)) ** 2))
    return max(0.0, gap + float(np.trace(first)) + float(np.trace(second)) - 2.0 * product)


def _covariance(features: Floats) -> Floats:
    return np.atleast_2d(np.cov(features, rowvar=False))


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _mmd(sample: Floats, reference: Floats, kernel: Callable[[Floats, Floats], Floats]) -> float:
    within = [(float(k.sum() - np.trace(k)), len(k)) for k in (kernel(x, x) for x in (sample, reference))]
    unbiased = sum(total / (n * (n - 1)) for total, n in within)
    return unbiased - 2.0 * float(kernel(sample, reference).mean())


def _squares(a: Floats, b: Floats) -> Floats:
    gaps = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)[None] - 2.0 * a @ b.T
    return np.asarray(np.maximum(gaps, 0.0))


def _median_distance(features: Floats) -> float:
    above = np.triu_indices(len(features), 1)
    return float(np.median(np.sqrt(_squares(features, features)[above]))) if len(features) > 1 else 0.0
