import gc
import os
import signal
import time

import av
import pytest

from veo_core.errors import ItemError
from veo_core.media.isolate import run_isolated


def work(item: str) -> bytes:
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "hang":
        time.sleep(3600)
    if item == "bad":
        raise ItemError("undecodable", "no frame\nat all")
    if item == "bug":
        raise KeyError("surprise")
    return item.upper().encode()


def test_results_come_in_the_order_of_the_items():
    assert run_isolated(["a", "b", "c"], work, timeout_seconds=30) == [b"A", b"B", b"C"]


def test_item_that_kills_its_process_costs_only_itself():
    first, dead, bad, last = run_isolated(["a", "die", "bad", "z"], work, timeout_seconds=30)
    assert (first, last) == (b"A", b"Z")
    assert isinstance(dead, ItemError)
    assert dead.rule == "crash"
    assert str(-signal.SIGKILL) in str(dead)
    assert isinstance(bad, ItemError)
    assert (bad.rule, str(bad)) == ("undecodable", "no frame\nat all")


def test_item_that_hangs_costs_only_itself():
    first, hung, last = run_isolated(["a", "hang", "z"], work, timeout_seconds=1.0)
    assert (first, last) == (b"A", b"Z")
    assert isinstance(hung, ItemError)
    assert hung.rule == "timeout"


def test_unexpected_error_is_raised_with_its_traceback_and_item():
    with pytest.raises(RuntimeError, match=r"bug[\s\S]*KeyError: 'surprise'"):
        run_isolated(["a", "bug"], work, timeout_seconds=30)


def test_no_items_give_no_results():
    assert run_isolated([], work, timeout_seconds=1) == []


def collect_garbage(item: str) -> bytes:
    gc.collect()
    return item.encode()


def test_decoder_left_to_the_collector_does_not_hang_the_child(square_file):
    gc.disable()
    try:
        container = av.open(str(square_file))
        container.streams.video[0].thread_type = "AUTO"
        container.streams.video[0].codec_context.thread_count = 4
        next(container.decode(video=0))
        cycle = [container]
        cycle.append(cycle)
        del container, cycle
        assert run_isolated(["a"], collect_garbage, timeout_seconds=20) == [b"a"]
    finally:
        gc.enable()
