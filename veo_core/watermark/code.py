"""The error-correcting code of the mark: 64 bits as 128 signs, decoded from soft values.

A tail-biting convolutional code of rate 1/2 with the generators of constraint length 9 and free distance 12
(octal 561 and 753; Larsen, "Short convolutional codes with maximal free distance", 1973). Tail-biting
codes of this length come within a decibel of the best possible (Gaudio, Ninacs, Jerkovits, Liva, "On the
Performance of Short Tail-Biting Convolutional Codes for Ultra-Reliable Communications", 2017).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

WORD_BITS = 64
CODED_BITS = 2 * WORD_BITS

_MEMORY = 8
_STATES = 1 << _MEMORY
_GENERATORS = (0o561, 0o753)

UInt8 = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]


class _Trellis(NamedTuple):
    """Of each state and each of the two states before it.

    before: int [states, 2]. outputs: the pair of coded bits on the way, as 0 to 3, int [states, 2].
    """

    before: npt.NDArray[np.intp]
    outputs: npt.NDArray[np.intp]


@lru_cache
def _trellis() -> _Trellis:
    """A state is the last 8 bits, the newest one highest; two states lead to each, with the same bit."""
    states = np.arange(_STATES)
    window = (states[:, None] << 1) | np.arange(
        2
    )  # 9 bits: the newest highest, the one that falls out lowest
    parity = [np.bitwise_count(window & generator) & 1 for generator in _GENERATORS]
    return _Trellis(window & (_STATES - 1), (parity[0].astype(np.intp) << 1) | parity[1])


def encode(word: UInt8) -> npt.NDArray[np.int8]:
    """The code of a word: bits [64] of 0 and 1 to signs [128] of +1 (for 0) and -1 (for 1)."""
    bits = np.asarray(word, dtype=np.uint8)
    if bits.shape != (WORD_BITS,):
        raise ValueError(f"a word has {WORD_BITS} bits, not {bits.shape}")
    window = np.stack([np.roll(bits, delay) for delay in range(_MEMORY + 1)])
    taps = np.array([[generator >> (_MEMORY - delay) & 1 for delay in range(9)] for generator in _GENERATORS])
    return (1 - 2 * ((taps @ window) & 1)).T.reshape(-1).astype(np.int8)


def decode(soft: Float64) -> tuple[UInt8, Float64]:
    """The words whose codes agree best with soft values, best first.

    A Viterbi search runs from each of the 256 states to itself, so the first word is the most likely one of
    all; the others are the best of their own starting state.

    Args:
        soft: float [128], each a measure of how sure its sign is.

    Returns:
        words, uint8 [256, 64], and the sum of soft values times signs of each, float [256].
    """
    trellis = _trellis()
    pairs = np.asarray(soft, dtype=np.float64).reshape(WORD_BITS, 2)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    gains = pairs @ signs.T  # [steps, outputs]
    scores = np.full((_STATES, _STATES), -np.inf)  # [state, start]
    np.fill_diagonal(scores, 0.0)
    choices = np.empty((WORD_BITS, _STATES, _STATES), dtype=bool)
    for step in range(WORD_BITS):
        gain = gains[step][trellis.outputs]
        first = scores[trellis.before[:, 0]] + gain[:, :1]
        second = scores[trellis.before[:, 1]] + gain[:, 1:]
        choices[step] = second > first
        scores = np.maximum(first, second)
    starts = np.arange(_STATES)
    state, totals = starts.copy(), scores[starts, starts]
    words = np.empty((_STATES, WORD_BITS), dtype=np.uint8)
    for step in range(WORD_BITS - 1, -1, -1):
        words[:, step] = state >> (_MEMORY - 1)
        state = trellis.before[state, choices[step, state, starts].astype(np.intp)]
    order = np.argsort(-totals, kind="stable")
    return words[order], totals[order]
