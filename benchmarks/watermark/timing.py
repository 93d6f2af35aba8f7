"""Processor time of marking and reading."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

from benchmarks.report import Row
from benchmarks.watermark.clips import clip_of
from benchmarks.watermark.trial import KEY, payload_for
from veo_core.watermark.mark import mark, read

T = TypeVar("T")


def timing(used_seed: int) -> Iterator[Row]:
    """Processor time on one core."""
    cv2.setNumThreads(1)
    for name, height, width in (("256x448", 256, 448), ("1080p", 1080, 1920)):
        frames = clip_of(1, used_seed).frames[:24]
        frames = np.stack([cv2.resize(frame, (width, height)) for frame in frames])
        (marked, _), writing = _timed(partial(mark, frames, None, 0, payload_for(0), [KEY]))
        _, reading = _timed(partial(read, marked, None, 0, [KEY]))
        _, searching = _timed(partial(read, marked[:, 9:, 9:], None, 0, [KEY]))
        yield Row(f"{name}: marking", 1e3 * writing / len(frames), "ms/frame")
        yield Row(f"{name}: reading", 1e3 * reading / len(frames), "ms/frame")
        yield Row(f"{name}: reading of a cropped clip of 24 frames", 1e3 * searching, "ms/clip")


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    work()
    start = time.process_time()
    result = work()
    return result, time.process_time() - start
