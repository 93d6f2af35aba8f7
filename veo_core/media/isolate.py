"""Work on untrusted files in a confined child process, whose death or hang costs one item."""

import gc
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

from veo_core.errors import ItemError
from veo_core.media.sandbox import Budget, allow_cpu, confine
from veo_core.sharding import end_with_parent

T = TypeVar("T")

_DONE, _ITEM_ERROR, _BUG = b"d", b"i", b"b"
_LARGEST_RESULT = 64 << 20  # bytes


def run_isolated(
    items: Sequence[T], work: Callable[[T], bytes], *, timeout_seconds: float, budget: Budget | None = None
) -> list[bytes | ItemError]:
    """Apply `work` to each item in one forked child; a new child goes on after one that died.

    The child has no network, starts no program and stays within a budget, as far as `sandbox` says.

    Results cross as bytes, never as pickles: a child that a hostile file has taken over cannot make its
    parent run code.

    Args:
        items: what to work on, in order.
        work: gives the item's result as bytes; may raise ItemError.
        timeout_seconds: time that one item may take.
        budget: what else it may take.

    Returns:
        The result of each item, or why it has none: the item's own ItemError, or one with rule "crash"
        (the child died), "timeout" or "memory".

    Raises:
        RuntimeError: `work` raised anything else; the message holds its traceback.
    """
    results: list[bytes | ItemError] = []
    while len(results) < len(items):
        _run_child(items[len(results) :], work, timeout_seconds, budget or Budget(), results)
    return results


def _run_child(
    items: Sequence[T],
    work: Callable[[T], bytes],
    timeout_seconds: float,
    budget: Budget,
    results: list[bytes | ItemError],
) -> None:
    """Work through `items` until they end or the child does; exactly the last outcome may be its death."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(items, work, budget, receiver, sender), daemon=False)
    child.start()
    sender.close()
    try:
        for _ in items:
            outcome = _receive(receiver, child, timeout_seconds)
            results.append(outcome)
            if isinstance(outcome, ItemError) and outcome.rule in ("crash", "timeout"):
                return
    finally:
        child.kill()
        child.join()
        receiver.close()


def _receive(
    receiver: Connection, child: multiprocessing.process.BaseProcess, timeout_seconds: float
) -> bytes | ItemError:
    if not receiver.poll(timeout_seconds):
        return ItemError("timeout", f"more than {timeout_seconds:g} s of work")
    try:
        message = receiver.recv_bytes(_LARGEST_RESULT)
    except (EOFError, OSError):
        child.join(timeout_seconds)
        if child.exitcode == -signal.SIGXCPU:
            return ItemError("timeout", "more processor time than an item may take")
        return ItemError("crash", f"the process that worked on it died with exit code {child.exitcode}")
    kind, body = message[:1], message[1:]
    if kind == _DONE:
        return body
    if kind == _ITEM_ERROR:
        rule, _, text = body.decode().partition("\n")
        return ItemError(rule, text)
    raise RuntimeError(body.decode())


def _child(
    items: Sequence[T], work: Callable[[T], bytes], budget: Budget, receiver: Connection, sender: Connection
) -> None:
    # A decoder that the parent left to the collector must not be torn down here: its threads are not.
    gc.freeze()
    receiver.close()
    confine(budget)
    end_with_parent()
    try:
        for item in items:
            allow_cpu(budget.cpu_seconds)
            sender.send_bytes(_attempt(work, item))
    except BrokenPipeError:
        pass
    finally:
        os._exit(0)


def _attempt(work: Callable[[T], bytes], item: T) -> bytes:
    try:
        return _DONE + work(item)
    except ItemError as error:
        return _ITEM_ERROR + f"{error.rule}\n{error}".encode()
    except MemoryError:
        return _ITEM_ERROR + b"memory\nmore memory than an item may take"
    except Exception:
        return _BUG + f"{item}\n{traceback.format_exc()}".encode()
