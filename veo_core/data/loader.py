"""Batches of latents, drawn by the step's own generator and read a few steps ahead.

What is in a batch follows from the state of the generator alone. So a resumed run needs no state of the
loader, and neither the depth of reading ahead nor the number of processes changes what is trained on.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import torch
from torch import Tensor

from veo_core.data.latents import LatentBatch, LatentBucket
from veo_core.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """A batch of a step, as far as this process reads it.

    bucket: where all its clips come from, so that shapes are static by bucket.
    share: which clips of the batch this process reads, and `clips` holds.
    generator: for all else that is random in the batch; the same in every process.
    """

    bucket: LatentBucket
    share: slice
    clips: LatentBatch
    generator: torch.Generator


class LatentLoader:
    """Draws batches and reads the next ones in a thread; a context manager that ends the thread.

    It guesses what will be asked for: `draws` batches in a row from each step's generator, and steps whose
    generators are seeded by consecutive numbers, as in the training loop. A wrong guess costs time only.

    Args:
        buckets: a batch comes from one of them, by chance in proportion to their clips.
        batch: clips of a batch over all processes.
        draws: batches of a step.
        rank, world: this process, and how many there are; each reads an equal slice.
        ahead: batches to read ahead; 0 reads each when it is asked for.
        pin: read into memory that a CUDA device reads by itself.

    Attributes:
        waited: seconds for which `draw` has kept its caller waiting.
        clip_ids: of this process's share of the last batch.

    Raises:
        UsageError: there is no clip, or the batch cannot be shared equally.
    """

    def __init__(
        self,
        buckets: Sequence[LatentBucket],
        batch: int,
        *,
        draws: int = 1,
        rank: int = 0,
        world: int = 1,
        ahead: int = 4,
        pin: bool = False,
    ) -> None:
        if not sum(map(len, buckets)):
            raise UsageError("latents: there is no clip to draw from; package more clips")
        if batch % world:
            raise UsageError(f"batch: {batch} clips cannot be shared equally by {world} processes")
        self._buckets = list(buckets)
        self._ends = torch.tensor([len(bucket) for bucket in buckets]).cumsum(0)
        self._batch, self._draws, self._ahead, self._pin = batch, draws, ahead, pin
        self._share = slice(rank * batch // world, (rank + 1) * batch // world)
        self._pool = ThreadPoolExecutor(1, "veo-loader")
        self._coming: dict[bytes, _Reading] = {}
        self._guesses: Iterator[torch.Generator] = iter(())
        self.waited = 0.0
        self.clip_ids: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def draw(self, generator: torch.Generator) -> Drawn:
        """The batch of a generator's state, which moves on; what else is random comes from the batch's own.

        Raises:
            UsageError: a shard is missing or damaged.
        """
        start = time.perf_counter()
        reading = self._coming.pop(_state(generator), None)
        if reading is None:
            self._forget_guesses()
            reading = self._read(generator)
            self._guesses = self._following(generator)
        else:
            generator.set_state(reading.after)
        while len(self._coming) < self._ahead:
            guess = next(self._guesses)
            state = _state(guess)
            self._coming[state] = self._read(guess)
        clips = reading.clips.result()
        self.clip_ids = clips.clip_ids
        self.waited += time.perf_counter() - start
        return Drawn(reading.bucket, self._share, clips, reading.rest)

    def _read(self, generator: torch.Generator) -> "_Reading":
        """Draw a batch and have the thread read it; the generator moves on."""
        clip = torch.randint(int(self._ends[-1]), (1,), generator=generator)
        bucket = self._buckets[int(torch.searchsorted(self._ends, clip, right=True))]
        numbers = torch.randint(len(bucket), (self._batch,), generator=generator)
        rest = _seeded(int(torch.randint(2**62, (1,), generator=generator)))
        clips = self._pool.submit(bucket.read, numbers[self._share].tolist(), pin=self._pin)
        return _Reading(bucket, clips, rest, generator.get_state())

    def _following(self, generator: torch.Generator) -> Iterator[torch.Generator]:
        """Generators for the batches after the first one that was drawn from `generator`, each to draw from
        before the next is asked for.
        """
        step = _seeded(generator.initial_seed())
        step.set_state(generator.get_state())
        left = self._draws - 1
        while True:
            for _ in range(left):
                yield step
            step, left = _seeded(step.initial_seed() + 1), self._draws

    def _forget_guesses(self) -> None:
        for reading in self._coming.values():
            reading.clips.cancel()
        self._coming.clear()


@dataclass(frozen=True)
class _Reading:
    """A batch that is being read. after: state of the generator that drew it."""

    bucket: LatentBucket
    clips: Future[LatentBatch]
    rest: torch.Generator
    after: Tensor


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _state(generator: torch.Generator) -> bytes:
    return generator.get_state().numpy().tobytes()


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1, "veo-ahead") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
