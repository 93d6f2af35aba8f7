"""Work on all cores, with progress."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2

from veo_core.progress import track

T = TypeVar("T")


def spread(work: Callable[[int], T], count: int, label: str, workers: int | None = None) -> list[T]:
    """`work` on each number below `count`, in a process a core or as many as told, with progress."""
    workers = workers or len(os.sched_getaffinity(0))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("SVT_LOG", "1")
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        return list(track(pool.map(work, range(count)), total=count, label=label))
