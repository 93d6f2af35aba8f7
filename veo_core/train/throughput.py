"""How fast a training run is."""

import time
from collections.abc import Callable

from veo_core.records.base import Record
from veo_core.train.runtime import Runtime


class Throughput(Record):
    """Speed over some steps.

    Attributes:
        waiting: share of the time in which the step waited for its batch; None where nothing tells.
        tflops: 10^12 floating-point operations a second on each device; None without a count for a clip.
        mfu: share of the device's peak that these are; None where the peak is not known.
        peak_memory: most bytes held, by the CUDA device or else the process.
    """

    steps: int
    seconds_per_step: float
    clips_per_second: float
    waiting: float | None
    tflops: float | None
    mfu: float | None
    peak_memory: int

    def __str__(self) -> str:
        parts = [f"{self.seconds_per_step:.4g} s a step", f"{self.clips_per_second:.4g} clips/s"]
        if self.waiting is not None:
            parts.append(f"{self.waiting:.1%} waiting for batches")
        if self.tflops is not None:
            parts.append(f"{self.tflops:.3g} TFLOP/s a device")
        if self.mfu is not None:
            parts.append(f"MFU {self.mfu:.1%}")
        return ", ".join([*parts, f"{self.peak_memory / 2**30:.3g} GiB at most"])


class Meter:
    """Times steps.

    Args:
        clips: clips in a step, over all devices.
        flops: floating-point operations to train on one clip, forward and backward.
        waited: tells how many seconds were spent waiting for batches so far.
    """

    def __init__(
        self, clips: int, runtime: Runtime, flops: float | None, waited: Callable[[], float] | None
    ) -> None:
        self._clips, self._runtime, self._flops, self._waited = clips, runtime, flops, waited
        self._laps: list[tuple[int, float, float]] = []
        self.start()

    def start(self) -> None:
        """Begin a lap; what came since the last one ended is not counted."""
        self._begin = time.perf_counter()
        self._wait_begin = self._waited() if self._waited else 0.0

    def lap(self, steps: int) -> Throughput:
        """The speed of `steps` steps since `start`; the device must have finished them."""
        seconds = time.perf_counter() - self._begin
        waited = self._waited() - self._wait_begin if self._waited else 0.0
        self._laps.append((steps, seconds, waited))
        return self._speed(steps, seconds, waited)

    def whole(self) -> Throughput | None:
        """The speed of all laps but the first, in which things compile and caches fill; None before a lap."""
        laps = self._laps[1:] or self._laps
        return self._speed(*(sum(column) for column in zip(*laps, strict=True))) if laps else None

    def _speed(self, steps: float, seconds: float, waited: float) -> Throughput:
        clips = self._clips * steps / seconds
        flops = clips * self._flops / self._runtime.devices if self._flops is not None else None
        peak = self._runtime.peak_flops()
        return Throughput(
            steps=int(steps),
            seconds_per_step=seconds / steps,
            clips_per_second=clips,
            waiting=waited / seconds if self._waited else None,
            tflops=flops / 1e12 if flops is not None else None,
            mfu=flops / peak if flops is not None and peak is not None else None,
            peak_memory=self._runtime.peak_memory(),
        )
