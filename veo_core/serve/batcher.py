"""The queue in front of the model: bounded, first come first served, batched by kind."""

import asyncio
import math
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from veo_core.generate.pipeline import Film
from veo_core.generate.request import Request
from veo_core.serve.metrics import Metrics
from veo_core.serve.refusal import RefusalError

_SICK_AFTER = 3  # failed batches in a row


@dataclass(eq=False)
class _Ticket:
    request: Request
    film: asyncio.Future[Film]


class Batcher:
    """Hands requests to the model, one batch at a time.

    The oldest request decides the kind of the next batch, so none waits for ever. All methods are called
    in the event loop; only `make` runs elsewhere.

    Args:
        make: draws one batch of requests of the same kind.
        thread: where `make` runs; of one thread.
        batch: most clips in a batch.
        depth: most clips that wait.
        patience: longest time that a clip may wait, in seconds.
    """

    def __init__(
        self,
        make: Callable[[Sequence[Request]], list[Film]],
        thread: Executor,
        metrics: Metrics,
        *,
        batch: int,
        depth: int,
        patience: float,
    ) -> None:
        self._make, self._thread, self._metrics = make, thread, metrics
        self._batch, self._depth, self._patience = batch, depth, patience
        self._waiting: list[_Ticket] = []
        self._arrived = asyncio.Event()
        self._seconds = 0.0  # of a batch, smoothed
        self._since: float | None = None  # when the batch that is being made was begun
        self._failures = 0
        metrics.watch_queue(lambda: len(self._waiting))

    @property
    def is_sick(self) -> bool:
        """Whether the model failed several times in a row, as it does after a device was lost."""
        return self._failures >= _SICK_AFTER

    async def warm_up(self, request: Request) -> None:
        """Make a full batch, so that a model too large for its device fails before anybody asks it for clips,
        and the first estimate of waiting times is right."""
        started = time.perf_counter()
        await self._made([request] * self._batch)
        self._seconds = time.perf_counter() - started

    def check_room(self, clips: int) -> None:
        """Whether so many more clips may wait: there is room, and they are likely to be made in time.

        Raises:
            RefusalError: 429, see `full`.
        """
        clips += len(self._waiting)
        if clips > self._depth or self._seconds_for(clips) > self._patience:
            raise self.full()

    def full(self) -> RefusalError:
        """The answer when there is no room, with the seconds after which half of the queue should be done."""
        wait = max(1, math.ceil(self._seconds_for(len(self._waiting)) / 2))
        return RefusalError(429, f"too many requests: {len(self._waiting)} clips wait already", wait)

    def _seconds_for(self, clips: int) -> float:
        """Time to make so many clips after the batch that is being made, which may take longer than usual."""
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        return max(self._seconds, running) * (math.ceil(clips / self._batch) + (self._since is not None))

    async def films(self, requests: Sequence[Request]) -> list[Film]:
        """The clips of requests, in their order. What is cancelled leaves the queue.

        Raises:
            RefusalError: 429, the queue is full; 500, the model failed.
        """
        self.check_room(len(requests))
        loop = asyncio.get_running_loop()
        tickets = [_Ticket(request, loop.create_future()) for request in requests]
        self._waiting += tickets
        self._arrived.set()
        try:
            return await asyncio.gather(*(ticket.film for ticket in tickets))
        finally:
            self._waiting = [ticket for ticket in self._waiting if ticket not in tickets]

    async def run(self) -> None:
        """Make clips until cancelled."""
        while True:
            await self._arrived.wait()
            while tickets := self._next():
                await self._draw(tickets)
            self._arrived.clear()

    def _next(self) -> list[_Ticket]:
        """Takes the next batch from the queue."""
        if not self._waiting:
            return []
        kind = self._waiting[0].request.kind
        chosen = [ticket for ticket in self._waiting if ticket.request.kind == kind][: self._batch]
        self._waiting = [ticket for ticket in self._waiting if ticket not in chosen]
        return chosen

    async def _draw(self, tickets: Sequence[_Ticket]) -> None:
        started = time.perf_counter()
        try:
            films = await self._made([ticket.request for ticket in tickets])
        except Exception:
            # A defect, or a device out of memory: these clips fail, the server goes on.
            traceback.print_exc(file=sys.stderr)
            self._failures += 1
            for ticket in tickets:
                if not ticket.film.done():
                    ticket.film.set_exception(RefusalError(500, "the model failed; the log says more"))
            return
        self._failures = 0
        seconds = time.perf_counter() - started
        self._seconds += 0.5 * (seconds - self._seconds)
        self._metrics.generation.observe(seconds)
        self._metrics.batch.observe(len(tickets))
        for ticket, film in zip(tickets, films, strict=True):
            if not ticket.film.done():
                ticket.film.set_result(film)

    async def _made(self, requests: Sequence[Request]) -> list[Film]:
        self._since = time.perf_counter()
        self._metrics.running.set(len(requests))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._make, requests)
        finally:
            self._since = None
            self._metrics.running.set(0)
