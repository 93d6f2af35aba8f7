"""A layered layout of a directed acyclic graph, from top to bottom.

After Sugiyama, Tagawa and Toda (1981): layers by longest path, order within layers by barycentres. Links
that longer paths imply are left out, so that a picture of a pipeline shows its order and not every input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Places of nodes on a grid, and the links to draw.

    Attributes:
        places: for each node its (layer, position); positions of a layer are centred around 0.
        links: pairs (from, to).
        layers: number of layers.
        width: largest number of nodes in a layer.
    """

    places: dict[str, tuple[int, float]]
    links: list[tuple[str, str]]
    layers: int
    width: int


def layered(parents: Mapping[str, Sequence[str]]) -> Layout:
    """Lay out a graph.

    Args:
        parents: for each node, in a stable order, the nodes that it depends on. Unknown names and links
            that close a cycle are left out, so that a damaged record can still be drawn.
    """
    known = _acyclic({node: [p for p in parents[node] if p in parents and p != node] for node in parents})
    depth: dict[str, int] = {}
    for node in known:
        _depth(node, known, depth)
    reduced = _reduce(known)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in known:
        rows[depth[node]].append(node)
    places: dict[str, tuple[int, float]] = {}
    for layer, row in enumerate(rows):
        row.sort(key=lambda node: _barycentre([places[p][1] for p in reduced[node]]))
        for index, node in enumerate(row):
            places[node] = (layer, index - (len(row) - 1) / 2)
    links = [(parent, node) for node in known for parent in reduced[node]]
    return Layout(places, links, len(rows), max((len(row) for row in rows), default=0))


def _acyclic(parents: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The graph without the links that close a cycle, found by depth-first search."""
    kept: dict[str, list[str]] = {}
    open_nodes: set[str] = set()

    def visit(node: str) -> None:
        open_nodes.add(node)
        kept[node] = []
        for parent in dict.fromkeys(parents[node]):
            if parent in open_nodes:
                continue
            kept[node].append(parent)
            if parent not in kept:
                visit(parent)
        open_nodes.discard(node)

    for node in parents:
        if node not in kept:
            visit(node)
    return {node: kept[node] for node in parents}


def _depth(node: str, parents: Mapping[str, Sequence[str]], depth: dict[str, int]) -> int:
    if node not in depth:
        depth[node] = 1 + max((_depth(parent, parents, depth) for parent in parents[node]), default=-1)
    return depth[node]


def _reduce(parents: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The transitive reduction: no link that a longer path implies."""
    ancestors: dict[str, set[str]] = {}

    def above(node: str) -> set[str]:
        if node not in ancestors:
            ancestors[node] = {a for parent in parents[node] for a in {parent, *above(parent)}}
        return ancestors[node]

    return {
        node: [p for p in direct if not any(p in above(other) for other in direct if other != p)]
        for node, direct in parents.items()
    }


def _barycentre(positions: Sequence[float]) -> float:
    return sum(positions) / len(positions) if positions else 0.0
