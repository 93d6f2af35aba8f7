"""Splits: what belongs together goes to one side, training or validation."""

from array import array
from collections.abc import Iterable
from urllib.parse import urlsplit

from veo_core.records.base import sha256_bytes
from veo_core.records.clip import Source, Split


class Families:
    """Sources that belong together, as a forest of disjoint sets (Tarjan 1975).

    Memory grows by some hundred bytes a source.
    """

    def __init__(self) -> None:
        self._nodes: dict[bytes, int] = {}
        self._parents = array("q")
        self._labels: list[bytes] = []

    def node(self, kind: str, name: str) -> int:
        """The node of something that sources may share, such as ("page", its URL)."""
        key = bytes.fromhex(sha256_bytes(f"{kind} {name}".encode()))[:16]
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = len(self._parents)
            self._parents.append(found)
            self._labels.append(key)
        return found

    def unite(self, nodes: Iterable[int]) -> None:
        first, *others = [self._root(node) for node in nodes]
        for other in others:
            low, high = sorted((self._root(first), self._root(other)))
            self._parents[high] = low
            self._labels[low] = min(self._labels[low], self._labels[high])

    def label(self, node: int) -> bytes:
        """The name of a node's family, the same in whatever order it came together."""
        return self._labels[self._root(node)]

    def _root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node


class Splitter:
    """Holds back a share of the families, by the hash of their names.

    Where the hash would hold none back, the family with the lowest hash is; one always remains to train on.

    Args:
        families: the names of all families.
        validation_share: share of families to hold back; 0 holds none back.
    """

    def __init__(self, families: Iterable[bytes], validation_share: float) -> None:
        values = sorted({_value(family) for family in families})
        held = [value for value in values if value < validation_share]
        if validation_share > 0 and len(values) > 1:
            held = (held or values[:1])[: len(values) - 1]
        self._last_held = held[-1] if held else -1.0

    def split(self, family: bytes) -> Split:
        return "validation" if _value(family) <= self._last_held else "train"


def page_of(source: Source) -> str:
    """The page that a source comes from; empty where its URL names no page but a whole site."""
    parts = urlsplit(source.source_url)
    path = parts.path.rstrip("/")
    if not parts.netloc or not (path or parts.query):
        return ""
    return f"{parts.netloc.lower()}{path}?{parts.query}"


def _value(family: bytes) -> float:
    return int(sha256_bytes(b"split " + family)[:8], 16) / 2**32
