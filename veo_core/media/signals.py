"""Figures measured on the pictures of a shot."""

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Bars = tuple[int, int, int, int]

_MOST_PICTURES = 24  # on which a level that changes slowly is measured


def luma_of(frames: UInt8) -> UInt8:
    """Luma (Rec. 601) of RGB pictures [t, h, w, 3] as uint8 [t, h, w]."""
    count, height, width = frames.shape[:3]
    flat = cv2.cvtColor(frames.reshape(count * height, width, 3), cv2.COLOR_RGB2GRAY)
    return np.asarray(flat, dtype=np.uint8).reshape(count, height, width)


def motion(luma: UInt8) -> float:
    """Mean absolute difference of consecutive pictures, 0 to 255."""
    if len(luma) < 2:
        return 0.0
    flat = luma.reshape(len(luma), -1)
    return float(cv2.absdiff(flat[1:], flat[:-1]).mean())


def exposure(luma: UInt8, *, dark: int = 16, bright: int = 239) -> tuple[float, float]:
    """Shares of pixels at levels of at most `dark` and of at least `bright`. `luma`: uint8 [t, h, w]."""
    some = luma[:: max(1, len(luma) // _MOST_PICTURES)]
    return np.count_nonzero(some <= dark) / some.size, np.count_nonzero(some >= bright) / some.size


def sharpness(luma: UInt8) -> float:
    """How much of the variation between neighbouring pixels a blur takes away, 0 (blurred) to 1.

    The no-reference metric of Crete et al., "The Blur Effect: Perception and Estimation with a New
    No-reference Perceptual Blur Metric", 2007, as one minus the blur: it compares a picture with its own
    blurred copy, so it depends little on what the picture shows. Steps of a level or so are left out, as
    they are noise. Mean over both axes and up to five pictures.
    """
    chosen = luma[np.linspace(0, len(luma) - 1, min(5, len(luma))).round().astype(int)]
    return float(np.mean([_crete_sharpness(picture.astype(np.float32)) for picture in chosen]))


def _crete_sharpness(picture: npt.NDArray[np.float32], noise: float = 1.5) -> float:
    shares = []
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        variation, left = _variation(picture, axis), _variation(cv2.blur(picture, kernel), axis)
        edges = cv2.threshold(variation, noise, 0.0, cv2.THRESH_TOZERO)[1]
        total, kept = cv2.sumElems(edges)[0], cv2.sumElems(cv2.min(edges, left))[0]
        shares.append(1.0 - kept / total if total > 0 else 1.0)
    return float(np.mean(shares))


def _variation(picture: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """Absolute differences of neighbours along an axis."""
    before, after = (picture[:-1], picture[1:]) if axis == 0 else (picture[:, :-1], picture[:, 1:])
    return np.asarray(cv2.absdiff(after, before))


def find_bars(luma: UInt8, *, black: int = 20, step: float = 4.0, least_share: float = 0.02) -> Bars:
    """Widths in pixels of black bars at (top, bottom, left, right).

    A bar is a run of black rows or columns from the edge, in every picture, that ends in a step of what
    stands still: neither a picture that fades into darkness has one, nor a thing that moves beside it.

    Args:
        luma: uint8 [t, h, w].
        black: brightest level of a bar.
        step: least difference of level across a bar's inner edge.
        least_share: narrowest bar, as a share of the side.
    """
    brightest, lasting = luma.max(axis=0), luma.min(axis=0)
    top, bottom = _bars(brightest, lasting, black, step, least_share)
    left, right = _bars(brightest.T, lasting.T, black, step, least_share)
    return top, bottom, left, right


def _bars(brightest: UInt8, lasting: UInt8, black: int, step: float, least_share: float) -> tuple[int, int]:
    """Widths of the bars at the first and the last rows."""
    widths = []
    for flip in (slice(None), slice(None, None, -1)):
        lit = np.percentile(brightest[flip], 98, axis=1) > black
        width = int(np.argmax(lit))
        level = lasting[flip].mean(axis=1)
        inside = min(width + 2, len(level) - 1)
        wide = width >= max(2, round(least_share * len(level)))
        widths.append(width if wide and level[inside] - level[width - 2] >= step else 0)
    return widths[0], widths[1]


def overlay_text(luma: UInt8) -> float:
    """Share of the picture under strokes that never change, a score of burnt-in text from 0 to 1.

    Strokes are found where a morphological gradient stays strong in every picture (temporal minimum), in
    cells that hold many of them close together, as letters do.
    """
    steps = luma[np.linspace(0, len(luma) - 1, min(9, len(luma))).round().astype(int)]
    kernel = np.ones((3, 3), np.uint8)
    lasting = np.min([cv2.morphologyEx(p, cv2.MORPH_GRADIENT, kernel) for p in steps], axis=0)
    strong = (lasting > 90).astype(np.float32)
    cell = max(4, min(luma.shape[1:]) // 16)
    density = cv2.blur(strong, (2 * cell, cell))
    return float((density > 0.5).mean())
