"""How much two clips resemble each other in the alignment that suits them best.

A copy may be mirrored, may be cropped, and may be an excerpt, which plays at about the speed of the clip
(a slow recording is no excerpt of a fast one). The alignment is the part of the one clip's
picture and time that the other one fills. The search starts at the view and the mirroring under which the
two embeddings are most alike, and moves the six borders of the part as long as the clips become more alike.
Both clips are compared on the grid of the larger one, whose cells the smaller one's finer cells average to.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veo_core.curate.dedup_descriptor import CROPS, EXCERPTS, WHOLE, embed, layout
from veo_core.curate.dedup_vectors import Float32, Int8, inverse_norms
from veo_core.media.signature import SIDE, STEPS

UInt8 = npt.NDArray[np.uint8]
Parts = npt.NDArray[np.float64]
"""Parts of clips [p, 6]: left, right, top, bottom, begin, end in shares of the whole."""

_STILL = 1.0  # root mean square change below which nothing moves, in levels of 255
_HOPELESS, _SETTLED = 0.3, 0.985  # likeness of motion below and above which no search is worth its time
_STRIDES = (0.06, 0.03, 0.015)  # by which a border moves, in shares
_BEYOND = 0.06  # how far a part may reach beyond the whole
_LEAST = 0.5  # the smallest part of a side or of the time
_WHOLE = 0.9  # share of the time from which a part is no excerpt: re-timed copies may play at any speed
_FAR_COLOUR = 2.7  # times the limit at which the start differs in colour, from which no search brings it near
_CONTRAST = 16.0  # standard deviation of pictures, in levels, below which differences of colour weigh more
_COVERED = 0.95  # share of a cell that must be covered for it to count
_VIEWS = WHOLE + CROPS + EXCERPTS


@dataclass(frozen=True)
class Likeness:
    """What pairs of clips have in common in their best alignment.

    Attributes:
        motion: cosine of what changes over time, -1 to 1 [p]. A logo, which never changes, hardly alters it.
        colour: median absolute difference of the pictures in levels of 255 [p]. It tells scenes apart in
            which the like happens before another background. Where pictures have little contrast, it
            counts as much as it would in ones that have more.
    """

    motion: Float32
    colour: Float32


def unaligned(one: UInt8, other: UInt8) -> Likeness:
    """Likeness of pairs of pictures [p, t, h, w, 3] as they are."""
    parts = np.tile(np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]), (len(one), 1))
    return _Pairs(one, other).likeness(parts)


def align(
    one: UInt8, other: UInt8, lengths: npt.NDArray[np.float64], *, max_colour: float, max_tempo: float
) -> Likeness:
    """Likeness of pairs of clips in the best alignment that the search finds.

    Args:
        one, other: their pictures [p, t, h, w, 3].
        lengths: how many times as long as `other` each of `one` is [p].
        max_colour: pairs whose colours are far from as much apart are not searched.
        max_tempo: how many times faster or slower than the clip an excerpt of it may play.
    """
    view, mirrored, swapped = _start(one, other, lengths, max_tempo)
    whole = np.where(swapped[:, None, None, None, None], other, one)
    part = np.where(swapped[:, None, None, None, None], one, other)
    parts = np.array([(v.left, v.right, v.top, v.bottom, v.begin, v.end) for v in _VIEWS])[view]
    shortest, longest = _excerpts(np.where(swapped, 1 / lengths, lengths), max_tempo)
    pairs = _Pairs(whole, _mirror(part, mirrored))
    found = pairs.likeness(parts)
    near = found.colour <= _FAR_COLOUR * max_colour
    searched = np.flatnonzero(near & (found.motion >= _HOPELESS) & (found.motion < _SETTLED))
    if len(searched):
        some = _Pairs(pairs.one[searched], pairs.other[searched])
        bounds = shortest[searched], longest[searched]
        better = some.likeness(some.climb(parts[searched], found.motion[searched], *bounds))
        found.motion[searched], found.colour[searched] = better.motion, better.colour
    return found


def scene_of(pictures: UInt8) -> UInt8:
    """What stands still in clips' pictures [n, t, h, w, 3], as 4x4 colours [n, 4, 4, 3]."""
    still = np.median(pictures, axis=1)
    n, h, w, c = still.shape
    coarse = still.reshape(n, 4, h // 4, 4, w // 4, c).mean(axis=(2, 4))
    return np.asarray(np.rint(coarse), np.uint8)


def scene_difference(one: UInt8, other: UInt8) -> Float32:
    """Median difference of scenes [p, 4, 4, 3] in levels of 255, at the mirroring that suits best [p]."""
    first, second = one.astype(np.float32), other.astype(np.float32)
    turned = (second, second[:, :, ::-1], second[:, ::-1], second[:, ::-1, ::-1])
    medians = [np.median(np.abs(first - scene).reshape(-1, 48), axis=1) for scene in turned]
    return np.asarray(np.min(medians, axis=0), np.float32)


def _start(
    one: UInt8, other: UInt8, lengths: npt.NDArray[np.float64], max_tempo: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """For each pair the view of the larger clip, the mirroring of the smaller, and whether `one` is that."""
    likeness = [
        np.where(_may_show(lengths, max_tempo)[:, :, None], _view_cosines(one, other), -2.0),
        np.where(_may_show(1 / lengths, max_tempo)[:, :, None], _view_cosines(other, one), -2.0),
    ]
    flat = np.stack(likeness, axis=1).reshape(len(one), -1)
    best = flat.argmax(axis=1)
    swapped, view, mirrored = np.unravel_index(best, (2, *likeness[0].shape[1:]))
    return view, mirrored, swapped.astype(bool)


def _excerpts(
    lengths: npt.NDArray[np.float64], max_tempo: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Least and greatest share of a clip that an excerpt may show, the clip being `lengths` times as long."""
    return 1 / (lengths * max_tempo), max_tempo / lengths


def _may_show(lengths: npt.NDArray[np.float64], max_tempo: float) -> npt.NDArray[np.bool_]:
    """Which views of a clip one may show of which it is `lengths` times as long [p, views]."""
    shares = np.array([view.end - view.begin for view in _VIEWS])
    shortest, longest = _excerpts(lengths[:, None], max_tempo)
    return np.asarray((shares >= _WHOLE) | ((shares >= shortest) & (shares <= longest)))


def _view_cosines(whole: UInt8, part: UInt8) -> Float32:
    """Cosines [p, views, mirrorings] of each view of the one clip with the whole of the other."""
    views = embed(whole, _VIEWS)
    mirrored: Int8 = layout().mirrorings(embed(part)[:, 0])
    dots = np.matmul(views.astype(np.float32), mirrored.transpose(1, 2, 0).astype(np.float32))
    norms = np.stack([inverse_norms(views[:, v]) for v in range(len(_VIEWS))], axis=1)
    return np.asarray(dots * norms[:, :, None] * inverse_norms(mirrored[0])[:, None, None])


def _mirror(pictures: UInt8, mirrored: npt.NDArray[np.intp]) -> UInt8:
    """Pictures [p, t, h, w, c], each at its mirroring: as it is, left-right, top-bottom, both."""
    turned = pictures.copy()
    for number, view in enumerate(
        (pictures, pictures[:, :, :, ::-1], pictures[:, :, ::-1], pictures[:, :, ::-1, ::-1])
    ):
        turned[mirrored == number] = view[mirrored == number]
    return turned


class _Pairs:
    """Pairs of clips on their way to an alignment.

    Args:
        one: pictures of the larger clips, uint8 [p, t, h, w, c].
        other: pictures of the clips that fill a part of those.
    """

    def __init__(self, one: UInt8, other: UInt8) -> None:
        self.one, self.other = one, other
        # [p, h, t, c, w], so that both sides are resampled by one matrix product each.
        self._one = one.transpose(0, 2, 1, 4, 3).astype(np.float32)
        self._other = np.ascontiguousarray(other.transpose(0, 2, 1, 4, 3), dtype=np.float32)
        contrasts = [values.std(axis=(1, 2, 3, 4)) for values in (self._one, self._other)]
        self._contrast = np.maximum(np.minimum(*contrasts), 1.0)
        self._still = np.minimum(_unrest(self._one), _unrest(self._other)) < _STILL

    def climb(
        self,
        parts: Parts,
        motion: Float32,
        shortest: npt.NDArray[np.float64],
        longest: npt.NDArray[np.float64],
    ) -> Parts:
        """Move each border in turn, as long as the clips' motion becomes more alike.

        Args:
            parts: where to start.
            motion: how alike it is there [p].
            shortest, longest: shares of the time that a part may span [p], if it is not about the whole.
        """
        parts, motion = parts.copy(), motion.copy()
        for stride in _STRIDES:
            for border in range(6):
                for sign in (-1, 1):
                    moved = parts.copy()
                    moved[:, border] += sign * stride
                    found = np.where(_is_allowed(moved, shortest, longest), self.motion(moved), -1.0)
                    better = found > motion
                    parts[better], motion[better] = moved[better], found[better]
        return parts

    def motion(self, parts: Parts) -> Float32:
        """Cosines of motion at parts [p, 6]."""
        return self._motion(*self._laid(parts))

    def likeness(self, parts: Parts) -> Likeness:
        laid, mask = self._laid(parts)
        away = np.where(mask, np.abs(self._one - laid), np.nan).reshape(len(parts), -1)
        colour = np.nanmedian(away, axis=1) * np.maximum(1.0, _CONTRAST / self._contrast)
        return Likeness(self._motion(laid, mask), colour.astype(np.float32))

    def _laid(self, parts: Parts) -> tuple[Float32, npt.NDArray[np.bool_]]:
        """The smaller clips on the larger ones' grid [p, h, t, c, w], and where they cover it."""
        n, h, t, c, w = self._other.shape
        rows, seen_rows = _areas(parts[:, 2], parts[:, 3])
        columns, seen_columns = _areas(parts[:, 0], parts[:, 1])
        laid = (rows @ self._other.reshape(n, h, -1)).reshape(n, -1, w)
        laid = (laid @ columns.transpose(0, 2, 1)).reshape(n, h, t, c, w)
        seen_steps = np.ones((n, t), bool)
        timed = (parts[:, 4] != 0) | (parts[:, 5] != 1)
        if timed.any():
            steps, seen_steps[timed] = _moments(parts[timed, 4], parts[timed, 5])
            laid[timed] = (steps[:, None] @ laid[timed].reshape(-1, h, t, c * w)).reshape(-1, h, t, c, w)
        mask = seen_rows[:, :, None, None, None] & seen_steps[:, None, :, None, None]
        return np.asarray(laid, np.float32), mask & seen_columns[:, None, None, None, :]

    def _motion(self, laid: Float32, mask: npt.NDArray[np.bool_]) -> Float32:
        one = self._changes(self._one, mask)
        other = self._changes(laid, mask)
        dots = np.einsum("ni,ni->n", one, other)
        norms = np.sqrt(np.einsum("ni,ni->n", one, one) * np.einsum("ni,ni->n", other, other))
        return np.asarray(dots / np.maximum(norms, 1e-6))

    def _changes(self, values: Float32, mask: npt.NDArray[np.bool_]) -> Float32:
        """What differs from the mean over time, or over all where nothing moves [p, h * t * c * w]."""
        seen = values * mask
        count = np.maximum(mask.sum(axis=2, keepdims=True), 1)
        mean = seen.sum(axis=2, keepdims=True) / count
        if self._still.any():
            cells = np.maximum(mask[self._still].sum(axis=(1, 2, 4), keepdims=True), 1)
            mean[self._still] = seen[self._still].sum(axis=(1, 2, 4), keepdims=True) / cells
        return np.asarray(((values - mean) * mask).reshape(len(values), -1), dtype=np.float32)


def _unrest(values: Float32) -> Float32:
    """Root mean square change over time of clips [p, h, t, c, w]."""
    changes = values - values.mean(axis=2, keepdims=True)
    return np.asarray(np.sqrt(np.square(changes).mean(axis=(1, 2, 3, 4))), np.float32)


def _is_allowed(
    parts: Parts, shortest: npt.NDArray[np.float64], longest: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    low, high = parts[:, 0::2], parts[:, 1::2]
    inside = (low >= -_BEYOND) & (high <= 1 + _BEYOND) & (high - low >= _LEAST)
    share = parts[:, 5] - parts[:, 4]
    timed = (share >= _WHOLE) | ((share >= shortest) & (share <= longest))
    return np.asarray(inside.all(axis=1) & timed)


def _areas(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """How cells of a side average those of a clip that fills [low, high] of it.

    Returns:
        Weights [p, cell, the other's cell], and which cells are covered [p, cell].
    """
    scale = SIDE / (high - low)
    edges = np.arange(SIDE + 1) / SIDE
    ends = (edges[None, :] - low[:, None]) * scale[:, None]  # in the other's cells
    cells = np.arange(SIDE)
    over = np.minimum(ends[:, 1:, None], cells + 1) - np.maximum(ends[:, :-1, None], cells)
    weights = np.maximum(over, 0.0) / (scale[:, None, None] / SIDE)
    cover = weights.sum(axis=2)
    weights /= np.maximum(cover, 1e-6)[:, :, None]
    return weights.astype(np.float32), cover >= _COVERED


def _moments(
    begin: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """How a clip's steps are interpolated from those of one that fills [begin, end] of its time.

    Returns:
        Weights [p, step, the other's step], and which steps are covered [p, step].
    """
    ticks = (np.arange(STEPS) + 0.5) / STEPS
    share = (ticks[None, :] - begin[:, None]) / (end - begin)[:, None]
    position = np.clip(share * STEPS - 0.5, 0, STEPS - 1)
    weights = np.maximum(1.0 - np.abs(position[:, :, None] - np.arange(STEPS)), 0.0)
    return weights.astype(np.float32), (share > 0) & (share < 1)
