"""The operator's lists of content that must go no further, matched before anything is stored or sent.

No list comes with this project. Files are matched by digest, pictures by perceptual hash within a distance.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.curate.hash_list_file import BYTES, HashType, read_hashes
from veo_core.media.hashes import hash_hex, phash
from veo_core.media.pdq import pdq, pdq_hex
from veo_core.media.signals import find_bars
from veo_core.records.base import Record
from veo_core.storage.pinned import read_pinned

_BLOCK = 1 << 14  # listed hashes that are compared at a time: what stays in a processor's cache

Words = npt.NDArray[np.uint64]


_DISTANCES: tuple[HashType, ...] = ("phash", "pdq")


class HashListFile(Record):
    """One list; its formats are those of `veo_core.curate.hash_list_file`."""

    path: str = Field(description="the list's file")
    sha256: str = Field(description="its digest: a changed list must make the stage run anew")
    name: str = Field(default="", description="what the ledger calls it; the file's name where empty")
    type: HashType | None = Field(default=None, description="type of hashes in plain text; None: by length")


class HashListConfig(Record):
    """The lists, and how near a picture must be."""

    files: tuple[HashListFile, ...] = Field(default=(), description="the operator's lists")
    phash_distance: int = Field(default=8, ge=0, le=64, description="bits of 64 that may differ")
    pdq_distance: int = Field(default=31, ge=0, le=256, description="bits of 256 that may differ")
    pdq_min_quality: int = Field(
        default=50, ge=0, le=100, description="flatter pictures are not matched by PDQ"
    )
    skip_types: tuple[str, ...] = Field(default=(), description="types of hashes to pass over")


class PictureHash(Record):
    """The hashes of one picture, hexadecimal; PDQ's also of the picture turned by quarters and mirrored."""

    phash: str
    pdq: list[str]
    quality: int = Field(description="PDQ's quality, 0 to 100")


@dataclass(frozen=True)
class Match:
    """What was found on which list."""

    list_name: str
    type: HashType
    distance: int = 0

    def __str__(self) -> str:
        bits = f", {self.distance} of {8 * BYTES[self.type]} bits away" if self.type in _DISTANCES else ""
        return f"on the operator's hash list {self.list_name!r} ({self.type}{bits})"


def picture_hashes(luma: npt.NDArray[np.uint8], times: npt.NDArray[np.float64]) -> list[PictureHash]:
    """Hashes of a file's pictures, one a second: what `HashLists.match_pictures` compares.

    Black bars hide a listed picture from its hash, so that one with bars is hashed without them as well.

    Args:
        luma: pictures at analysis size, uint8 [t, h, w]; some 128 pixels a side are enough.
        times: seconds of each picture, [t].
    """
    chosen = luma[np.flatnonzero(np.diff(np.floor(times - times[0]), prepend=-1.0))]
    top, bottom, left, right = find_bars(chosen)
    pictures = list(chosen)
    if top or bottom or left or right:
        pictures += list(chosen[:, top : luma.shape[1] - bottom, left : luma.shape[2] - right])
    return [_hashed(picture) for picture in pictures]


def _hashed(luma: npt.NDArray[np.uint8]) -> PictureHash:
    # Turning the picture and not its hash: PDQ samples a little off the middle, always to the same side.
    views = [np.ascontiguousarray(np.rot90(side, k)) for side in (luma, luma[:, ::-1]) for k in range(4)]
    hashes = [pdq(view) for view in views]
    return PictureHash(
        phash=hash_hex(phash(luma)), pdq=[pdq_hex(value) for value, _ in hashes], quality=hashes[0][1]
    )


class HashLists:
    """Lists in memory: 8 to 32 bytes a hash.

    Args:
        config: which lists.

    Raises:
        UsageError: a list is missing, holds something else than hashes, or has another digest.
    """

    def __init__(self, config: HashListConfig) -> None:
        self.config = config
        self._tables: dict[HashType, list[tuple[str, Words]]] = {kind: [] for kind in BYTES}
        for file in config.files:
            for kind, hashes in _read(file, config.skip_types).items():
                table = np.frombuffer(hashes, ">u8").astype(np.uint64).reshape(-1, BYTES[kind] // 8)
                self._tables[kind].append((file.name or Path(file.path).name, np.ascontiguousarray(table.T)))

    @property
    def hold_pictures(self) -> bool:
        """Whether there is any hash of a picture to compare with."""
        return any(self._tables[kind] for kind in _DISTANCES)

    def match_digest(self, sha256: str) -> Match | None:
        """Whether a file with this sha256 is listed."""
        return self._match_exactly("sha256", sha256)

    def match_file(self, path: Path) -> Match | None:
        """Whether a file is listed by another digest than its sha256; it is read only if one is asked for."""
        if not self._tables["md5"]:
            return None
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return self._match_exactly("md5", digest)

    def match_pictures(self, pictures: Sequence[PictureHash]) -> Match | None:
        """The nearest listed picture to any of `pictures`, if it is near enough."""
        limits: dict[HashType, int] = {"phash": self.config.phash_distance, "pdq": self.config.pdq_distance}
        queries: dict[HashType, list[str]] = {
            "phash": [picture.phash for picture in pictures],
            "pdq": [
                value
                for picture in pictures
                if picture.quality >= self.config.pdq_min_quality
                for value in picture.pdq
            ],
        }
        matches = [
            Match(name, kind, distance)
            for kind, limit in limits.items()
            for name, table in self._tables[kind]
            if (distance := nearest(table, _words(queries[kind], kind), limit)) is not None
        ]
        return min(matches, key=lambda match: match.distance / BYTES[match.type], default=None)

    def _match_exactly(self, kind: HashType, digest: str) -> Match | None:
        words = _words([digest], kind)[0]
        for name, table in self._tables[kind]:
            # Tables are in order of value, so that equal first words lie together.
            begin, end = (int(np.searchsorted(table[0], words[0], side)) for side in ("left", "right"))
            if (table[:, begin:end] == words[:, None]).all(axis=0).any():
                return Match(name, kind)
        return None


@lru_cache(maxsize=1)
def hash_lists(config: HashListConfig) -> HashLists:
    """`HashLists` read once in a process; processes forked from it share them."""
    return HashLists(config)


def nearest(table: Words, queries: Words, limit: int) -> int | None:
    """The least number of bits between a listed hash and a query, None where all are above `limit`.

    Args:
        table: listed hashes, uint64 [w, n]: one row for each of a hash's w words.
        queries: uint64 [q, w].
        limit: largest distance that counts.
    """
    best: int | None = None
    for begin in range(0, table.shape[1], _BLOCK):
        block = table[:, begin : begin + _BLOCK]
        for query in queries:
            # Two words of four rule nearly every unrelated hash out.
            near = np.flatnonzero(_distances(block[:2], query[:2]) <= limit)
            if near.size:
                least = int(_distances(block[:, near], query).min())
                if least <= limit:
                    best, limit = least, least
    return best


def _distances(table: Words, query: Words) -> npt.NDArray[np.uint16]:
    total: npt.NDArray[np.uint16] = np.bitwise_count(table[0] ^ query[0]).astype(np.uint16)
    for words, word in zip(table[1:], query[1:], strict=True):
        total += np.bitwise_count(words ^ word)
    return total


def _words(values: Sequence[str], kind: HashType) -> Words:
    data = bytes.fromhex("".join(values))
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, BYTES[kind] // 8)


def _read(file: HashListFile, skipped: Sequence[str]) -> dict[HashType, bytes]:
    where = f"hash list {file.path}"
    data = read_pinned(file.path, file.sha256, where=where)
    names = frozenset(name.lower() for name in skipped)
    return read_hashes(data, bare=file.type, skipped=names, where=where)
