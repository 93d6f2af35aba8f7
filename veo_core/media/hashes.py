"""Perceptual hashes of pictures."""

import cv2
import numpy as np
import numpy.typing as npt

_SIDE, _KEPT = 32, 8


def phash(luma: npt.NDArray[np.uint8]) -> int:
    """The 64-bit DCT hash of a picture.

    The signs of the 8x8 lowest frequencies of the picture at 32x32, against their median (Zauner,
    "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).

    Args:
        luma: uint8 [h, w].
    """
    small = cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_hex(value: int) -> str:
    return f"{value:016x}"


def hamming(first: int, second: int) -> int:
    """How many bits differ."""
    return (first ^ second).bit_count()
