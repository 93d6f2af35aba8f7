"""The embedded engine: runs a compiled pipeline from its start to its record."""

import asyncio
import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from veo_core.errors import UsageError
from veo_core.records.run import RunRecord, TaskRecord
from veo_core.runner import parameters, provenance
from veo_core.runner.artifacts import Artifact, digest_of, local_path
from veo_core.runner.cache import CacheStore
from veo_core.runner.context import RunContext, Values
from veo_core.runner.executor import Executor, InstalledEnvironment
from veo_core.runner.journal import Journal, Observer
from veo_core.runner.scheduler import Scheduler
from veo_core.runner.spec import Dag, Pipeline

IR_COPY = "pipeline.yaml"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _silent(record: RunRecord, task: TaskRecord | None) -> None:
    pass


@dataclass(frozen=True)
class Options:
    """How a pipeline is run.

    Attributes:
        executor: where commands run, by default in this environment.
        env: variables for every task besides those of its executor; they do not count for the cache.
        workers: tasks that run at once, by default one per CPU.
        accelerators: tasks with an accelerator that run at once.
        timeout: seconds that each task may take, or None.
        pipeline_root: what `{{$.pipeline_root}}` stands for, by default the IR's or the run's folder.
        cache: folder of cached outputs, by default `.cache` among the runs.
        reuse: whether cached outputs are taken; they are kept in any case.
        cwd: folder in which commands start, by default the current one.
        launch: what the record states of how the run was started, by name.
        observe: called with the record at each change.
    """

    executor: Executor = field(default_factory=InstalledEnvironment)
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    accelerators: int = 1
    timeout: float | None = None
    pipeline_root: str | None = None
    cache: Path | None = None
    reuse: bool = True
    cwd: Path | None = None
    launch: Mapping[str, str] = field(default_factory=dict)
    observe: Observer = _silent


def run(
    pipeline: Pipeline, arguments: Mapping[str, Any], *, runs_dir: Path, options: Options = Options()
) -> RunRecord:
    """Run a pipeline to its end, and return its record.

    A failed task shows in the record. SIGINT, SIGTERM and SIGHUP end every task and leave the state
    CANCELLED; a second one ends this process at once, and what it left running with it.

    Args:
        arguments: the pipeline's parameters by name, of the types that it declares; input artifacts of
            the pipeline as paths or URIs.
        runs_dir: the run's folder is made in it.

    Raises:
        UsageError: the arguments do not fit the pipeline, or a folder cannot be written.
    """
    scope = _scope(pipeline, arguments)
    cache = CacheStore((options.cache or runs_dir / ".cache").resolve())
    folder = _new_folder(runs_dir.resolve())
    (folder / IR_COPY).write_text(pipeline.text, encoding="utf-8")
    journal = Journal(folder, _record(pipeline, folder.name, scope, options), options.observe)
    return asyncio.run(_run(pipeline, scope, folder, cache, journal, options))


def _scope(pipeline: Pipeline, arguments: Mapping[str, Any]) -> Values:
    """The root's inputs, checked before anything is written."""
    root = pipeline.root
    given = {name: value for name, value in arguments.items() if name not in root.artifacts}
    values = parameters.supplied(given, root.parameters)
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for name, spec in root.artifacts.items():
        if name in arguments:
            uri = str(arguments[name])
            path, digest = local_path(uri), digest_of(uri)
            if not digest:
                raise UsageError(f"input artifact {name!r}: nothing is at {uri}")
            place = uri if path is None else str(path.resolve())
            artifacts[name] = (Artifact(name, spec.schema, place, digest),)
        elif not spec.optional:
            raise UsageError(f"input artifact {name!r} is missing; give its path or URI")
    return Values(values, artifacts)


def _new_folder(runs_dir: Path) -> Path:
    """A new folder, named by the time so that names sort by it."""
    while True:
        now = datetime.now(UTC)
        folder = runs_dir / f"{now:%Y%m%d-%H%M%S}-{now.microsecond:06d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{runs_dir}: cannot be written: {error.strerror}") from None
        return folder


def _record(pipeline: Pipeline, run_id: str, scope: Values, options: Options) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        pipeline=pipeline.name,
        state="RUNNING",
        created=time.time(),
        ir_digest=pipeline.digest,
        parameters=dict(scope.parameters),
        images=dict(options.executor.images),
        launch=dict(options.launch),
        **provenance.facts(),
    )


async def _run(
    pipeline: Pipeline, scope: Values, folder: Path, cache: CacheStore, journal: Journal, options: Options
) -> RunRecord:
    context = RunContext(
        pipeline=pipeline,
        run_id=folder.name,
        folder=folder,
        values=_run_values(pipeline, folder, journal.record.created, options),
        executor=options.executor,
        env=options.env,
        cwd=str((options.cwd or Path.cwd()).resolve()),
        workers=asyncio.Semaphore(options.workers or _cpus()),
        accelerators=asyncio.Semaphore(options.accelerators),
        timeout=options.timeout,
        cache=cache,
        reuse=options.reuse,
        journal=journal,
    )
    dag = pipeline.root.implementation
    assert isinstance(dag, Dag)
    work = asyncio.ensure_future(Scheduler(context).run_dag(pipeline.root, dag, scope, ""))
    state, returned = "FAILED", Values()
    try:
        with _cancelled_by_signals(work):
            outcome = await work
            state, returned = outcome.state, outcome.outputs
    except asyncio.CancelledError:
        state = "CANCELLED"
    finally:
        _close_pending(journal, state)
        record = journal.finish(
            state=state, finished=time.time(), output_parameters=dict(returned.parameters)
        )
    return record


def _cpus() -> int:
    """The CPUs that this process may use, where the system tells, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_values(pipeline: Pipeline, folder: Path, created: float, options: Options) -> dict[str, str]:
    name = f"{pipeline.name}-{folder.name}"
    moment = datetime.fromtimestamp(created, UTC).isoformat(timespec="microseconds")
    return {
        "pipeline_job_name": name,
        "pipeline_job_resource_name": f"runs/{name}",
        "pipeline_job_uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, folder.as_uri())),
        "pipeline_job_create_time_utc": moment,
        "pipeline_job_schedule_time_utc": moment,
        "pipeline_root": options.pipeline_root or pipeline.pipeline_root or str(folder),
    }


@contextlib.contextmanager
def _cancelled_by_signals(work: "asyncio.Future[Any]") -> Iterator[None]:
    """The first stop signal cancels `work`, the second one ends this process; ignored ones stay so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = False

    def stop(number: int) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        work.cancel()

    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _close_pending(journal: Journal, state: str) -> None:
    """What never started, or was cut off, says so."""
    for task in journal.record.tasks:
        if task.state in ("PENDING", "RUNNING"):
            reason = "the run was cancelled" if state == "CANCELLED" else "the run broke off"
            journal.update(task.name, state="CANCELLED", reason=reason)
