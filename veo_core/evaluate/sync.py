"""Audio-video sync: contacts seen in the picture against onsets heard in the sound.

The idea is AV-Align's (Yariv et al. 2023, TempoTokens), with each contact matched to at most one onset, so
that one burst of sound cannot be counted for several contacts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Match:
    """A contact and the onset matched to it.

    Attributes:
        contact: index of the contact.
        onset: index of the onset.
        error: seconds by which the sound lags the picture.
    """

    contact: int
    onset: int
    error: float


def match_events(contacts: Sequence[float], onsets: Sequence[float], tolerance: float) -> list[Match]:
    """Match contacts and onsets one to one.

    The matching has the most pairs within `tolerance` and, of those, the least total absolute error. On a
    line such a matching exists without crossings, so dynamic programming over both sorted lists finds it.

    Args:
        contacts: times of contacts in seconds, in any order.
        onsets: times of onsets in seconds, in any order.
        tolerance: the largest absolute error of a pair, in seconds.

    Returns:
        Matches in order of time; indices refer to the arguments as given.
    """
    seen = sorted(range(len(contacts)), key=lambda index: contacts[index])
    heard = sorted(range(len(onsets)), key=lambda index: onsets[index])
    # best[i][j]: (-pairs, total error) of the first i contacts and j onsets; smaller is better.
    best = [[(0, 0.0)] * (len(heard) + 1) for _ in range(len(seen) + 1)]
    for i in range(1, len(seen) + 1):
        for j in range(1, len(heard) + 1):
            best[i][j] = min(best[i - 1][j], best[i][j - 1])
            error = abs(onsets[heard[j - 1]] - contacts[seen[i - 1]])
            if error <= tolerance:
                pairs, total = best[i - 1][j - 1]
                best[i][j] = min(best[i][j], (pairs - 1, total + error))
    matches: list[Match] = []
    i, j = len(seen), len(heard)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            contact, onset = seen[i - 1], heard[j - 1]
            matches.append(Match(contact, onset, onsets[onset] - contacts[contact]))
            i, j = i - 1, j - 1
    return matches[::-1]


def exchange(count: int, *, rounds: int, seed: int) -> list[tuple[int, int]]:
    """Pairs (picture, sound) of different clips, the null hypothesis of every sync figure.

    Each round is a rotation of a random order, so no clip keeps its own sound and each sound is used once.

    Args:
        count: number of clips; fewer than two cannot be exchanged and give no pair.
        rounds: how many exchanges; at most `count - 1` differ.
        seed: seed of the order.
    """
    order = np.random.default_rng(seed).permutation(count)
    return [
        (int(picture), int(sound))
        for step in range(1, min(rounds, count - 1) + 1)
        for picture, sound in zip(order, np.roll(order, step), strict=True)
    ]
