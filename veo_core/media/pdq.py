"""PDQ: the 256-bit perceptual hash of pictures in which lists of harmful content are exchanged.

Meta, "PDQ & TMK + PDQF: a suite of hashing tools", 2019; the reference code is `pdq/cpp` of
https://github.com/facebook/ThreatExchange. Two hashes of one picture differ in few bits, at most 31 by
the reference's advice; those of unrelated pictures in about 128.
"""

import numpy as np
import numpy.typing as npt

_SIDE, _KEPT = 64, 16
_LEAST_SIDE = 5
_PASSES = 2

Floats = npt.NDArray[np.floating]


def pdq(luma: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Hash a picture.

    Args:
        luma: uint8 [h, w].

    Returns:
        The hash of 256 bits; and its quality, 0 (flat: the hash says nothing) to 100. The reference advises
        not to match below 50. A picture with a side under 5 pixels has quality 0.
    """
    if min(luma.shape) < _LEAST_SIDE:
        return 0, 0
    small = _decimated(luma)
    return _bits(_WAVES @ small @ _WAVES.T), _quality(small)


def pdq_hex(value: int) -> str:
    """A hash as lists write it: 64 hexadecimal digits."""
    return f"{value:064x}"


def _decimated(luma: npt.NDArray[np.uint8]) -> Floats:
    """The picture at 64 x 64 after a tent filter (Jarosz): boxes over rows, then columns, twice."""
    picture: Floats = luma.astype(np.float32)
    if luma.shape == (_SIDE, _SIDE):
        return picture
    for _ in range(_PASSES):
        for axis in (1, 0):
            picture = _box(picture, axis, -(-picture.shape[axis] // (2 * _SIDE)))
    rows, columns = (((np.arange(_SIDE) + 0.5) * side / _SIDE).astype(int) for side in luma.shape)
    small: Floats = picture[np.ix_(rows, columns)]
    return small


def _box(picture: Floats, axis: int, width: int) -> Floats:
    """Means over `width` neighbours along an axis; at the borders over those that there are."""
    if width == 1:
        return picture
    length = picture.shape[axis]
    sums = np.cumsum(picture, axis=axis, dtype=np.float64)
    sums = np.insert(sums, 0, 0.0, axis=axis)
    index = np.arange(length)
    last = np.minimum(index + width // 2 + 1, length)
    first = np.maximum(index + width // 2 + 1 - width, 0)
    means = np.take(sums, last, axis) - np.take(sums, first, axis)
    counts = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    smooth: Floats = (means / counts).astype(np.float32)
    return smooth


def _quality(small: Floats) -> int:
    """How much structure there is: steps between neighbours, in whole hundredths of the range."""
    steps = (np.trunc(np.diff(small, axis=axis) * 100 / 255) for axis in (0, 1))
    return min(100, int(sum(np.abs(step).sum() for step in steps)) // 90)


def _bits(waves: Floats) -> int:
    """One bit for each frequency: whether it is above the lower median."""
    flat = waves.ravel()
    above = flat > np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1]
    return int.from_bytes(np.packbits(above, bitorder="little").tobytes(), "little")


def _cosines() -> Floats:
    """Rows 1 to 16 of the DCT of length 64, [16, 64]."""
    frequency, place = np.arange(1, _KEPT + 1)[:, None], np.arange(_SIDE)
    waves = np.sqrt(2 / _SIDE) * np.cos(np.pi / (2 * _SIDE) * frequency * (2 * place + 1))
    rows: Floats = waves.astype(np.float32)
    return rows


_WAVES = _cosines()
