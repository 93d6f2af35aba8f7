"""The queue: bounded, batched by kind, first come first served; what is cancelled leaves it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from veo_core.generate.pipeline import Film
from veo_core.generate.request import Request
from veo_core.records.drawing import SamplerConfig
from veo_core.serve.batcher import Batcher
from veo_core.serve.metrics import Metrics
from veo_core.serve.refusal import RefusalError


class Model:
    """Makes films that hold their seeds, once the test opens the gate."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.started = threading.Event()
        self.broken = False

    def __call__(self, requests: Sequence[Request]) -> list[Film]:
        self.batches.append([request.seed for request in requests])
        self.started.set()
        assert self.gate.wait(30)
        if self.broken:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return [Film(np.zeros((1, 2, 2, 3), np.uint8), np.full(1, r.seed, np.float32), 8) for r in requests]


def run(model: Model, test: Callable[[Batcher], Awaitable[None]], *, patience: float = 60.0) -> None:
    """Runs a test beside a batcher."""

    async def both() -> None:
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(model, thread, Metrics(), batch=4, depth=8, patience=patience)
            running = asyncio.create_task(batcher.run())
            try:
                await test(batcher)
            finally:
                model.gate.set()
                running.cancel()

    asyncio.run(both())


def seeds(films: list[Film]) -> list[int]:
    return [int(film.audio[0]) for film in films]


async def begun(model: Model) -> None:
    """Returns once the model is at work; later requests wait in the queue."""
    await asyncio.to_thread(model.started.wait, 30)


async def queued(batcher: Batcher, *requests: Request) -> asyncio.Task[list[Film]]:
    task = asyncio.create_task(batcher.films(requests))
    await asyncio.sleep(0)
    return task


PLAIN = Request("a")
OTHER = replace(PLAIN, sampler=SamplerConfig(steps=3))


def numbered(request: Request, *numbers: int) -> list[Request]:
    return [replace(request, seed=number) for number in numbers]


def test_what_waits_shares_batches_by_kind_and_the_oldest_goes_first():
    model = Model()

    async def test(batcher: Batcher) -> None:
        tasks = [await queued(batcher, *numbered(PLAIN, 0))]
        await begun(model)
        for request, numbers in ((PLAIN, (1, 2)), (OTHER, (3,)), (PLAIN, (4, 5, 6)), (OTHER, (7,))):
            tasks.append(await queued(batcher, *numbered(request, *numbers)))
        model.gate.set()
        assert [seeds(await task) for task in tasks] == [[0], [1, 2], [3], [4, 5, 6], [7]]

    run(model, test)
    assert model.batches == [[0], [1, 2, 4, 5], [3, 7], [6]]


def test_full_queue_refuses_with_a_time_to_come_back():
    model = Model()

    async def test(batcher: Batcher) -> None:
        await queued(batcher, PLAIN)
        await begun(model)
        waiting = await queued(batcher, *numbered(PLAIN, *range(8)))
        with pytest.raises(RefusalError, match="8 clips wait already") as caught:
            await batcher.films([PLAIN])
        assert caught.value.status == 429
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 1
        model.gate.set()
        assert len(await waiting) == 8
        assert len(await batcher.films([PLAIN])) == 1

    run(model, test)


def test_cancelled_request_leaves_the_queue_and_is_never_made():
    model = Model()

    async def test(batcher: Batcher) -> None:
        first = await queued(batcher, *numbered(PLAIN, 0))
        await begun(model)
        left = await queued(batcher, *numbered(PLAIN, *range(1, 9)))
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        second = await queued(batcher, *numbered(PLAIN, 9))
        model.gate.set()
        assert [seeds(await task) for task in (first, second)] == [[0], [9]]

    run(model, test)
    assert model.batches == [[0], [9]]


def test_failing_model_fails_its_batch_alone_and_is_sick_after_three(capsys):
    model = Model()
    model.gate.set()

    async def test(batcher: Batcher) -> None:
        for failures in (1, 2, 3):
            model.broken = True
            with pytest.raises(RefusalError, match="the model failed") as caught:
                await batcher.films([PLAIN, PLAIN])
            assert caught.value.status == 500
            assert batcher.is_sick == (failures == 3)
        model.broken = False
        assert len(await batcher.films([PLAIN])) == 1
        assert not batcher.is_sick

    run(model, test)
    assert "device-side assert" in capsys.readouterr().err


def test_request_that_would_not_be_done_in_time_is_refused_at_once():
    model = Model()
    model.gate.set()

    async def test(batcher: Batcher) -> None:
        await batcher.warm_up(PLAIN)  # takes longer than anybody is willing to wait
        with pytest.raises(RefusalError, match="too many requests") as caught:
            await batcher.films([PLAIN])
        assert caught.value.status == 429

    run(model, test, patience=0.0)
    assert model.batches == [[0] * 4]
