"""False alarms in pictures without a mark."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.report import Row, quick
from benchmarks.spread import spread
from benchmarks.watermark.attacks import crop, h264
from benchmarks.watermark.clips import clip_of
from veo_core.watermark.keys import Key
from veo_core.watermark.mark import FALSE_ALARMS
from veo_core.watermark.picture_reading import read_residual, residual_of

_WINDOWS = 50  # of each clip


def unmarked(windows: int, used_seed: int) -> Iterator[Row]:
    """Windows of unmarked clips, cropped and half of them coded, 8 frames each, under keys that change.

    Besides alarms, the least p-value is told: of n windows of chance it is about 1 / n or more.
    """
    clips = max(1, windows // _WINDOWS)
    found = np.concatenate(spread(partial(_unmarked, used_seed=used_seed), clips, "unmarked clips"))
    alarms = int(np.count_nonzero(found < FALSE_ALARMS))
    yield Row("unmarked windows", len(found), "windows", target=None if quick() else 10_000)
    yield Row("false alarms in them", alarms, "alarms", target=0, op="<=")
    yield Row("least p-value, times windows", float(found.min()) * len(found), "", target=0.01)
    yield Row("share with a p-value below 0.01", float(np.mean(found < 0.01)), "share", target=0.015, op="<=")


def _unmarked(number: int, used_seed: int) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng((used_seed, 1, number))
    frames = clip_of(number, used_seed + 1).frames
    if number % 2:
        frames = h264(int(generator.integers(18, 36)))(frames, generator)
    values = np.empty(_WINDOWS)
    for window in range(_WINDOWS):
        start = int(generator.integers(len(frames) - 8))
        part = crop(generator.uniform(0.4, 1.0))(frames[start : start + 8], generator)
        key = Key(b"unmarked" + number.to_bytes(4) + (window // 10).to_bytes(1))
        values[window] = read_residual(residual_of(part), key.derive("picture")).p_value
    return values
