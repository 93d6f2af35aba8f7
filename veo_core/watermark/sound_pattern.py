"""The keyed pattern of the mark in sound: a sign for each cell of time and frequency, and what it carries.

The pattern repeats every `PERIOD` seconds, so that any stretch of a clip that is that long holds all of it.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SLOTS = 64
SLOT_SECONDS = 0.032
PERIOD = SLOTS * SLOT_SECONDS
"""Seconds, 2.048."""
LOWEST, BAND_HERTZ, BANDS = 640.625, 156.25, 44
"""The lowest edge of the bands, the width of each, and how many there are: up to 7516 Hz."""
_SYNC_BANDS = 15
"""Cells of each slot that carry the sync pattern, about a third; the others carry bits."""

SYNC = -1


class Pattern(NamedTuple):
    """signs: +1 or -1, int8 [SLOTS, BANDS]. role: the bit that a cell carries, or `SYNC`, int16 alike."""

    signs: npt.NDArray[np.int8]
    role: npt.NDArray[np.int16]

    def started(self, slot: int) -> "Pattern":
        """The same pattern, from another of its slots on."""
        return Pattern(np.roll(self.signs, -slot, axis=0), np.roll(self.role, -slot, axis=0))


def keyed_pattern(key: bytes, index: int, bits: int) -> Pattern:
    """The pattern of a key and of a clip's key index, for marks of so many bits.

    All of it is drawn from SHAKE-256 of key and index: who lacks the key can tell neither the signs nor
    which cells belong together. Each bit has a cell in every few slots, so that no short part of a clip
    holds all of a bit.
    """
    seed = b"veo sound mark\0" + index.to_bytes(4, "big") + bits.to_bytes(4, "big") + key
    stream = hashlib.shake_256(seed).digest(8 * (3 * SLOTS * BANDS + bits))
    words = np.frombuffer(stream, ">u8")
    cells = SLOTS * BANDS
    signs = np.where(words[:cells] >> np.uint64(63), 1, -1).astype(np.int8).reshape(SLOTS, BANDS)
    order = np.argsort(words[cells : 2 * cells].reshape(SLOTS, BANDS), axis=1)
    carried = SLOTS * (BANDS - _SYNC_BANDS)
    rounds = -(-carried // bits)
    ranks = np.resize(words[2 * cells :], rounds * bits).reshape(rounds, bits)
    sequence = np.argsort(ranks, axis=1).ravel()[:carried].astype(np.int16)
    role = np.full((SLOTS, BANDS), SYNC, np.int16)
    np.put_along_axis(role, order[:, _SYNC_BANDS:], sequence.reshape(SLOTS, -1), axis=1)
    return Pattern(signs, role)
