"""What a mark says: which model made the clip and which generation it was, with a check."""

import binascii

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veo_core.records.base import Record
from veo_core.watermark.code import CODED_BITS as CODED_BITS
from veo_core.watermark.code import decode, encode
from veo_core.watermark.keys import Key

INDICES = 16
"""Patterns of a key, one of which marks a clip, so that the marks of many clips do not add up."""

_ROUNDS = 6
_CANDIDATES = 8


class Payload(Record):
    """model_id: 16 bits, of the models' content. generation_id: 32 bits, of what was asked for."""

    model_id: int = Field(ge=0, lt=1 << 16)
    generation_id: int = Field(ge=0, lt=1 << 32)


def key_index(payload: Payload, key: Key) -> int:
    """Which of the key's patterns marks the clip with this payload, 0 to `INDICES` - 1."""
    return key.derive("index", _plain(payload))[0] % INDICES


def signs_of(payload: Payload, key: Key) -> npt.NDArray[np.int8]:
    """The signs that a mark carries, +1 or -1 [128].

    The payload and its CRC-16 are enciphered before they are coded: every sign depends on every bit, so that
    no sign is common to a model's clips, and who lacks the key can neither read nor make a payload.
    """
    word = _enciphered(_plain(payload), key)
    return encode(np.unpackbits(np.frombuffer(word, dtype=np.uint8)))


def payload_of(soft: npt.NDArray[np.float64], key: Key) -> Payload | None:
    """The payload that soft values [128] carry; None where no likely word has a valid check.

    The eight likeliest words are tried, so that chance passes the check once in 8192 times.
    """
    words, _ = decode(soft)
    for word in np.packbits(words[:_CANDIDATES], axis=1):
        plain = _deciphered(word.tobytes(), key)
        if _check(plain[:6]) == plain[6:]:
            return Payload(model_id=int.from_bytes(plain[:2]), generation_id=int.from_bytes(plain[2:6]))
    return None


def _plain(payload: Payload) -> bytes:
    content = payload.model_id.to_bytes(2) + payload.generation_id.to_bytes(4)
    return content + _check(content)


def _check(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0xFFFF).to_bytes(2)


def _enciphered(block: bytes, key: Key) -> bytes:
    """A keyed permutation of 64-bit blocks: a balanced Feistel network (Luby and Rackoff, 1988)."""
    left, right = int.from_bytes(block[:4]), int.from_bytes(block[4:])
    for number in range(_ROUNDS):
        left, right = right, left ^ _round(number, right, key)
    return left.to_bytes(4) + right.to_bytes(4)


def _deciphered(block: bytes, key: Key) -> bytes:
    left, right = int.from_bytes(block[:4]), int.from_bytes(block[4:])
    for number in reversed(range(_ROUNDS)):
        left, right = right ^ _round(number, left, key), left
    return left.to_bytes(4) + right.to_bytes(4)


def _round(number: int, half: int, key: Key) -> int:
    return int.from_bytes(key.derive("payload", bytes([number]) + half.to_bytes(4))[:4])
