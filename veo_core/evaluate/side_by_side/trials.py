"""What raters compare: pairs of clips in blind, random order, with catch pairs among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from veo_core.errors import UsageError
from veo_core.evaluate.folder import FolderClip
from veo_core.evaluate.side_by_side.votes import System
from veo_core.records.base import sha256_bytes

_CATCH_SHARE = 0.05


@dataclass(frozen=True)
class Pair:
    """Two clips of one prompt.

    Attributes:
        identity: names the pair, the same for every rater.
        prompt: what both were asked for.
        first: the clip of the first system.
        second: the clip of the second; of a catch pair the very same clip.
        catch: whether an attentive rater sees no difference.
    """

    identity: str
    prompt: str
    first: Path
    second: Path
    catch: bool = False

    def clip(self, system: System) -> Path:
        return self.first if system == "first" else self.second


@dataclass(frozen=True)
class Trial:
    """A pair as one rater sees it."""

    pair: Pair
    left: System

    @property
    def right(self) -> System:
        return "second" if self.left == "first" else "first"


def pairs_of(first: Sequence[FolderClip], second: Sequence[FolderClip], *, seed: int) -> list[Pair]:
    """The clips of two systems paired by prompt, and catch pairs: one in twenty, at least one.

    Where a prompt has several clips of each system, they are paired in the order of their names. Clips
    without a prompt are paired by name.

    Raises:
        UsageError: no prompt was answered by both.
    """
    groups = [_by_prompt(clips) for clips in (first, second)]
    pairs = [
        Pair(_identity(one.path, other.path), one.prompt.text, one.path, other.path)
        for key in groups[0]
        for one, other in zip(groups[0][key], groups[1].get(key, []), strict=False)
    ]
    if not pairs:
        raise UsageError("side-by-side: no prompt was answered by both; name clips alike, or give --suite")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(pairs))[: max(1, round(_CATCH_SHARE * len(pairs)))]
    catches = [
        Pair(_identity(pairs[i].first, pairs[i].first), pairs[i].prompt, pairs[i].first, pairs[i].first, True)
        for i in chosen
    ]
    return [*pairs, *catches]


def trials_of(pairs: Sequence[Pair], rater: str, *, seed: int) -> list[Trial]:
    """The pairs in an order, and with sides, that are random but the same whenever this rater comes back."""
    digest = int(sha256_bytes(rater.encode())[:15], 16)
    rng = np.random.default_rng([seed, digest])
    sides: tuple[System, System] = ("first", "second")
    return [Trial(pairs[i], sides[int(rng.integers(2))]) for i in rng.permutation(len(pairs))]


def _by_prompt(clips: Sequence[FolderClip]) -> dict[str, list[FolderClip]]:
    groups: dict[str, list[FolderClip]] = {}
    for clip in clips:
        groups.setdefault(clip.prompt.text or clip.path.stem, []).append(clip)
    return groups


def _identity(first: Path, second: Path) -> str:
    return sha256_bytes(f"{first.resolve()}\n{second.resolve()}".encode())[:16]
