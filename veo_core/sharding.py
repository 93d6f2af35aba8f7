"""Work in shards, each of which survives a kill: in this machine's processes or on Ray."""

import concurrent.futures
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from veo_core.errors import UsageError
from veo_core.progress import track
from veo_core.records.base import Record, sha256_bytes
from veo_core.records.tables import arrow_schema, rows_of, table_from_bytes, table_to_bytes
from veo_core.storage import Store

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=Record)

ExecutorName = Literal["pool", "ray"]

_SORTED_ROWS = 256
_RAY_RETRIES = 3  # of a shard whose process dies
_RAY_WAIT = 0.5  # seconds after which the finished tasks are counted
_JOINED_TABLES = 16  # a table of one shard takes more memory for its schema and chunks than for its rows


@dataclass(frozen=True)
class ShardJob(Generic[T, ResultT]):
    """One shard of work. It holds names and digests of what is in the store, never the data."""

    store: Store
    mark: str
    items: Sequence[T]
    work: Callable[[Sequence[T]], list[ResultT]]
    result: type[ResultT]

    def __call__(self) -> str:
        """Do the work and publish its rows as the shard's mark."""
        self.store.set_mark(self.mark, table_to_bytes(self.work(self.items), self.result))
        return self.mark


class ShardRows(Generic[ResultT]):
    """The rows of finished shards, read from their marks whenever they are iterated.

    Args:
        store: where the marks are.
        marks: their names, in the order of the shards.
        record: the type of the rows.
    """

    def __init__(self, store: Store, marks: Sequence[str], record: type[ResultT]) -> None:
        self._store = store
        self._marks = marks
        self._record = record

    def __iter__(self) -> Iterator[ResultT]:
        for mark in self._marks:
            yield from table_from_bytes(self._read(mark), self._record)

    def sorted_by(self, field: str, *, without: Collection[str] = ()) -> Iterator[ResultT]:
        """The rows in the order of a text field, held in memory as compact columns only.

        Args:
            field: the field to sort by.
            without: large fields to leave at their defaults, for which `__iter__` is the way.
        """
        schema = arrow_schema(self._record)
        columns = [name for name in schema.names if name not in without]
        whole = schema.empty_table().select(columns)
        for start in range(0, len(self._marks), _JOINED_TABLES):
            tables = [
                pq.ParquetFile(pa.BufferReader(self._read(mark))).read(columns=columns, use_threads=False)
                for mark in self._marks[start : start + _JOINED_TABLES]
            ]
            whole = pa.concat_tables([whole, pa.concat_tables(tables).combine_chunks()])
        order = whole.column(field).to_numpy().argsort(kind="stable")
        for start in range(0, len(order), _SORTED_ROWS):
            yield from rows_of(whole.take(order[start : start + _SORTED_ROWS]), self._record)

    def _read(self, mark: str) -> bytes:
        data = self._store.get_mark(mark)
        if data is None:
            raise UsageError(f"store {self._store.root}: mark {mark} is missing; run the stage again")
        return data


def shards_of(items: Sequence[T], identity: Callable[[T], str], shard_size: int) -> Iterator[list[T]]:
    """Items by the hash of their identity, so that shards do not depend on the order of the input."""
    count = max(1, -(-len(items) // shard_size))
    buckets: list[list[T]] = [[] for _ in range(count)]
    for item in items:
        buckets[share_of(identity(item), count)].append(item)
    for bucket in buckets:
        if bucket:
            yield sorted(bucket, key=identity)


def share_of(identity: str, count: int) -> int:
    """Which of `count` shards an item belongs to."""
    return int(sha256_bytes(identity.encode())[:8], 16) % count


def run_jobs(jobs: Sequence[ShardJob[Any, Any]], *, executor: ExecutorName, workers: int, label: str) -> None:
    """Run shard jobs in a pool of processes, or on Ray."""
    if executor == "ray":
        done = _on_ray(jobs, workers)
    elif workers <= 1 or len(jobs) <= 1:
        done = (job() for job in jobs)
    else:
        done = _in_pool(jobs, workers)
    for _ in track(done, total=len(jobs), label=label, unit="shards"):
        pass


def _in_pool(jobs: Sequence[ShardJob[Any, Any]], workers: int) -> Iterator[str]:
    # A process with several threads may fork while one of them holds a lock of the interpreter, which the
    # child then waits for without end; a server that has no other thread forks for it.
    method = "fork" if threading.active_count() == 1 else "forkserver"
    context = multiprocessing.get_context(method)
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, initializer=end_with_parent)
    with pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_ray(jobs: Sequence[ShardJob[Any, Any]], workers: int) -> Iterator[str]:
    """One task a shard, on the cluster at `RAY_ADDRESS` or on one that is started on this machine.

    Plain tasks, not Ray Data. That leaves threads which may ask Ray for blocks after `ray.shutdown`; Ray then
    ends the process on the spot, before a problem could be told. It also repeats a task whose process dies
    for ever.
    """
    if not jobs:
        return
    try:
        import ray
    except ImportError:
        raise UsageError("executor ray: Ray is not installed; install the extra `ray`") from None
    _start_ray(workers)
    try:
        task = ray.remote(max_retries=_RAY_RETRIES)(_run_or_problem)
        pending = [task.remote(job) for job in jobs]
        while pending:
            finished, pending = ray.wait(pending, num_returns=len(pending), timeout=_RAY_WAIT)
            for mark, problem in ray.get(finished):
                if problem:
                    raise UsageError(problem)
                yield mark
    finally:
        ray.shutdown()


def _start_ray(workers: int) -> None:
    """Connect to the cluster, or start one.

    On a busy machine its parts may not be up, or not find each other, within the times that Ray gives them;
    it then gets two more tries.
    """
    import ray

    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING)
        return
    for last in (False, False, True):
        try:
            ray.init(num_cpus=workers, include_dashboard=False, logging_level=logging.WARNING)
            return
        except Exception as error:  # Ray has no class of its own for the first of these
            late = "timed out during startup", "Failed to connect to GCS"
            if last or not any(words in str(error) for words in late):
                raise
            ray.shutdown()


def _run_or_problem(job: ShardJob[Any, Any]) -> tuple[str, str]:
    """Run a job; what the user can mend comes back as text, since Ray keeps no cause of an exception."""
    try:
        return job(), ""
    except UsageError as error:
        return job.mark, str(error)


def end_with_parent() -> None:
    """Make this child process end when its parent does, even if SIGKILL ends that one."""

    def wait_for_parent(parent: multiprocessing.process.BaseProcess) -> None:
        parent.join()
        os._exit(1)

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=wait_for_parent, args=(parent,), daemon=True).start()
