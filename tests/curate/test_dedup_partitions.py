"""The steps on arrays, against comparing all pairs one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_core.curate.dedup_partitions import Edges, assign, cluster_count, fit, merge, prune, unique_edges
from veo_core.curate.dedup_vectors import Layout, quantise

PLAIN = Layout((16,))
MIRRORED = Layout((6, 4, 4, 2))


def vectors(seed, count, dimensions=16):
    """Vectors about a few centres, so that many are alike."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 6), dimensions))
    return quantise(centres[rng.integers(len(centres), size=count)] + rng.normal(0, 0.3, (count, dimensions)))


def brute_cosine(one, other, layout):
    """The largest cosine over the mirrorings, in Python's whole numbers."""
    signs = [(1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1)][
        : 1 if len(layout.blocks) == 1 else 4
    ]
    owner = [block for block, size in enumerate(layout.blocks) for _ in range(size)]
    one, other = one.tolist(), other.tolist()
    dots = [sum(sign[block] * a * b for block, a, b in zip(owner, one, other, strict=True)) for sign in signs]
    norm = (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5
    return max(dots) / norm if norm else 0.0


def search(items, *, clusters, probes, layout, shards, threshold=0.9):
    """Fit, assign in shards, prune each cluster in shards of its visitors, and put the edges together."""
    centroids = fit(items, clusters, layout)
    rows = np.arange(len(items))
    parts = [part for part in np.array_split(rows, shards) if len(part)]
    assigned = np.concatenate([assign(items[part], centroids, probes, layout) for part in parts])
    found = [Edges.none()]
    for cluster in range(len(centroids)):
        home = rows[assigned[:, 0] == cluster]
        visitors = rows[(assigned == cluster).any(axis=1)]
        for part in np.array_split(visitors, shards):
            found.append(prune(home, items[home], part, items[part], min_cosine=threshold, layout=layout))
    return unique_edges(
        *(np.concatenate([getattr(e, name) for e in found]) for name in ("first", "second", "cosine"))
    )


def pairs(edges):
    return set(zip(edges.first.tolist(), edges.second.tolist(), strict=True))


@pytest.mark.parametrize("layout", [PLAIN, MIRRORED], ids=["plain", "mirrored"])
@given(seed=st.integers(0, 1000), count=st.integers(2, 30), shards=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_one_cluster_finds_exactly_the_pairs_of_brute_force(layout, seed, count, shards):
    items = vectors(seed, count)
    edges = search(items, clusters=1, probes=2, layout=layout, shards=shards)
    cosines = {
        (i, j): brute_cosine(items[i], items[j], layout) for i, j in itertools.combinations(range(count), 2)
    }
    near = {pair for pair, cosine in cosines.items() if abs(cosine - 0.9) < 1e-6}
    assert pairs(edges) - near == {pair for pair, cosine in cosines.items() if cosine >= 0.9} - near
    for i, j, cosine in zip(edges.first, edges.second, edges.cosine, strict=True):
        assert cosine == pytest.approx(cosines[int(i), int(j)], abs=1e-6)


@pytest.mark.parametrize("layout", [PLAIN, MIRRORED], ids=["plain", "mirrored"])
@given(seed=st.integers(0, 1000), shards=st.integers(2, 9))
@settings(max_examples=25, deadline=None)
def test_any_number_of_shards_gives_bit_identical_edges(layout, seed, shards):
    items = vectors(seed, 80)
    one = search(items, clusters=8, probes=2, layout=layout, shards=1)
    many = search(items, clusters=8, probes=2, layout=layout, shards=shards)
    assert pairs(one) == pairs(many)
    assert one.cosine.tobytes() == many.cosine.tobytes()


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_mirrored_vector_is_found_as_it_is(seed):
    items = vectors(seed, 40)
    for mirroring in MIRRORED.mirrorings(items):
        assert (np.diag(MIRRORED.cosines(items, mirroring)) >= 1 - 1e-6).all()


@given(seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_planted_copies_are_found_among_clusters(seed):
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(20, 64))[rng.integers(20, size=400)] + rng.normal(0, 0.7, (400, 64))
    copies = items[:100] + rng.normal(0, 0.15, (100, 64))
    everything = quantise(np.concatenate([items, copies]))
    edges = search(everything, clusters=20, probes=4, layout=Layout((64,)), shards=3)
    partner = merge(np.arange(500), edges.first, edges.second, edges.cosine)
    assert np.mean(partner[400:] == np.arange(100)) >= 0.98


@given(
    edges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0, 1)), max_size=30),
    order=st.permutations(range(10)),
    shuffled=st.randoms(),
)
@settings(max_examples=100, deadline=None)
def test_merge_keeps_the_best_and_never_chains(edges, order, shuffled):
    edges = list({(min(a, b), max(a, b)): (a, b, s) for a, b, s in edges if a != b}.values())
    rank = np.array(order)
    partner = _merged(rank, edges)
    kept = set(np.flatnonzero(partner < 0).tolist())
    linked = {frozenset((a, b)) for a, b, _ in edges}
    assert not any(frozenset(pair) in linked for pair in itertools.combinations(kept, 2))
    for item in set(range(10)) - kept:
        assert int(partner[item]) in kept
        assert frozenset((item, int(partner[item]))) in linked
        assert rank[partner[item]] < rank[item]
    shuffled.shuffle(edges)
    assert (_merged(rank, edges) == partner).all()


def _merged(rank, edges):
    first, second, score = (
        np.array([edge[column] for edge in edges], kind) for column, kind in ((0, int), (1, int), (2, float))
    )
    return merge(rank, first, second, score)


def test_chain_keeps_both_of_its_ends():
    partner = merge(np.array([0, 1, 2]), np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.99]))
    assert partner.tolist() == [-1, 0, -1]


def test_dot_products_stay_exact_at_the_largest_values():
    ones = np.full((1, 1024), 127, np.int8)
    assert Layout((1024,)).best_dots(ones, ones)[0, 0] == 1024 * 127 * 127 < 2**24


@pytest.mark.parametrize("wrong", [np.zeros((1, 1025)), np.array([[np.nan, 1.0]])])
def test_vectors_that_cannot_be_exact_are_refused(wrong):
    with pytest.raises(ValueError, match=r"components|finite"):
        quantise(wrong)


def test_few_items_are_one_cluster():
    assert cluster_count(5000, exact_below=5000, cluster_size=400) == 1
    assert cluster_count(100_000, exact_below=5000, cluster_size=400) == 250
