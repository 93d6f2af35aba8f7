"""Executing one task: a container's command, or an importer."""

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veo_core.records.run import ArtifactRecord, Attempt, TaskRecord
from veo_core.runner import execution
from veo_core.runner.artifacts import Artifact, digest_of, local_path
from veo_core.runner.cache import Entry, KeyParts, Lookup
from veo_core.runner.context import Outcome, RunContext, Values
from veo_core.runner.executor import Work
from veo_core.runner.identity import NoIdentityError, key_parts
from veo_core.runner.logs import tail
from veo_core.runner.outputs import OutputError, collect
from veo_core.runner.parameters import to_text
from veo_core.runner.placeholders import Bindings, PlaceholderError, command_line, resolve, resolve_text
from veo_core.runner.spec import Component, ComponentInput, Container, Importer, Task

LOG = "log.txt"


@dataclass(frozen=True)
class _Command:
    """What a container runs, its placeholders resolved."""

    bindings: Bindings
    argv: list[str]
    env: dict[str, str]
    accelerator: bool


class TaskRun:
    """One task of a run, at `path`, with its inputs."""

    def __init__(
        self, context: RunContext, task: Task, component: Component, path: str, inputs: Values
    ) -> None:
        self._context = context
        self._task = task
        self._component = component
        self._path = path
        self._inputs = inputs
        self._folder = context.task_folder(path)
        self._outputs = self._folder / "outputs"
        self._log = self._folder / LOG

    async def run(self) -> Outcome:
        """Execute the task; its record tells the rest."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._update(
            parameters=dict(self._inputs.parameters),
            inputs=_records(self._inputs.artifacts),
            log=str(self._log.relative_to(self._context.folder)),
        )
        implementation = self._component.implementation
        try:
            if isinstance(implementation, Importer):
                return await self._import(implementation)
            assert isinstance(implementation, Container)
            return await self._run_container(implementation)
        except PlaceholderError as error:
            return self._fail(str(error))
        except asyncio.CancelledError:
            self._update(state="CANCELLED", finished=time.time(), reason="the run was cancelled")
            raise

    async def _import(self, importer: Importer) -> Outcome:
        bindings = Bindings(self._values(), self._inputs.parameters)
        place = (
            to_text(self._inputs.parameters[importer.uri.name])
            if isinstance(importer.uri, ComponentInput)
            else importer.uri
        )
        path = local_path(place)
        uri = place if path is None else str((Path(self._context.cwd) / path).resolve())
        self._update(state="RUNNING", started=time.time())
        digest = await asyncio.to_thread(digest_of, uri)
        if not digest:
            return self._fail(f"nothing is at {place}")
        artifact = Artifact(
            name=next(iter(self._component.output_artifacts)),
            schema=importer.schema,
            uri=uri,
            digest=digest,
            metadata=resolve(dict(importer.metadata), bindings),
        )
        return self._succeed(Values(artifacts={artifact.name: (artifact,)}), state="SUCCEEDED")

    async def _run_container(self, container: Container) -> Outcome:
        command = self._command(container)
        self._update(command=command.argv, env=command.env)
        if not command.argv:
            return self._fail("its command is empty")
        if not self._task.cache:
            return await self._execute(command, None, "caching is off")
        try:
            parts = await asyncio.to_thread(self._key_parts, command)
        except NoIdentityError as error:
            return await self._execute(command, None, f"miss: {error}")
        self._update(cache_key=parts.digest, code=parts.code)
        found = await asyncio.to_thread(self._look_up, parts)
        if found.entry is not None:
            restored = await asyncio.to_thread(self._restore, found.entry, command.bindings)
            if restored is not None:
                self._log.write_text(f"{found.reason}, task {found.entry.task}\n", encoding="utf-8")
                return self._succeed(
                    restored, state="CACHED", reason=found.reason, cached_from=found.entry.run_id
                )
            found = Lookup(None, "miss: the cached entry is damaged")
        return await self._execute(command, parts, found.reason)

    def _command(self, container: Container) -> _Command:
        bindings = Bindings(
            run=self._values(),
            parameters=self._inputs.parameters,
            input_artifacts=self._inputs.artifacts,
            output_artifacts={
                name: Artifact(name, spec.schema, str(self._outputs / name), metadata=spec.metadata)
                for name, spec in self._component.output_artifacts.items()
            },
            output_files={name: str(self._outputs / name) for name in self._component.output_parameters},
            executor_output=str(self._outputs / "executor_output.json"),
        )
        return _Command(
            bindings=bindings,
            argv=command_line((*container.command, *container.args), bindings),
            env={name: resolve_text(value, bindings) for name, value in container.env.items()},
            accelerator=container.accelerator,
        )

    def _key_parts(self, command: _Command) -> KeyParts:
        return key_parts(
            self._component,
            command.bindings,
            command.argv,
            command.env,
            self._context.executor.code(self._work(command)),
            str(self._context.folder),
        )

    def _work(self, command: _Command) -> Work:
        return Work(
            argv=command.argv,
            env={**self._context.env, **command.env},
            accelerator=command.accelerator,
            log=str(self._log),
            cwd=self._context.cwd,
            timeout=self._context.timeout,
        )

    def _look_up(self, parts: KeyParts) -> Lookup:
        if not self._context.reuse:
            return Lookup(None, "miss: cached outputs are not taken in this run")
        return self._context.cache.look_up(self._identity(), parts)

    def _restore(self, entry: Entry, bindings: Bindings) -> Values | None:
        self._clear_outputs()
        artifacts = self._context.cache.restore(entry, bindings.output_artifacts)
        if artifacts is None or set(entry.parameters) != set(self._component.output_parameters):
            return None
        return Values(entry.parameters, {name: (artifact,) for name, artifact in artifacts.items()})

    async def _execute(self, command: _Command, parts: KeyParts | None, reason: str) -> Outcome:
        """Run the command as often as its retries allow, and keep what it produced."""
        retry = self._task.retry
        self._update(reason=reason)
        message = ""
        for attempt in range(1, retry.count + 2):
            if attempt > 1:
                await asyncio.sleep(min(retry.backoff * retry.factor ** (attempt - 2), retry.backoff_limit))
            result = await self._attempt(attempt, command)
            if isinstance(result, Values):
                if parts is not None:
                    await asyncio.to_thread(self._save, parts, result, command.bindings)
                return self._succeed(result, state="SUCCEEDED")
            message = result
        return self._fail(message)

    async def _attempt(self, attempt: int, command: _Command) -> Values | str:
        """One execution of the command: what it produced, or why it failed."""
        context = self._context
        job = context.executor.job(self._work(command))
        accelerator = context.accelerators if command.accelerator else contextlib.nullcontext()
        async with accelerator, context.workers:
            await asyncio.to_thread(self._clear_outputs)
            if attempt > 1:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(f"--- attempt {attempt} ---\n")
            started = time.time()
            self._update(state="RUNNING", attempts=attempt, started=self._record().started or started)
            end = await execution.run(job)
            done = Attempt(
                started=started,
                finished=time.time(),
                exit_code=end.code,
                problem=end.problem,
                peak_rss_bytes=end.peak_rss_bytes,
                cpu_seconds=end.cpu_seconds,
            )
            self._update(
                exit_code=end.code,
                peak_rss_bytes=end.peak_rss_bytes,
                finished=done.finished,
                tries=[*self._record().tries, done],
            )
        if end.code or end.problem:
            last = next(iter(tail(self._log, 1)), "")
            return ": ".join(part for part in (f"exit code {end.code}", end.problem, last) if part)
        try:
            return await asyncio.to_thread(collect, self._component, command.bindings)
        except OutputError as error:
            return str(error)

    def _save(self, parts: KeyParts, outputs: Values, bindings: Bindings) -> None:
        self._context.cache.save(
            self._identity(),
            parts,
            self._context.run_id,
            outputs.parameters,
            {name: artifacts[0] for name, artifacts in outputs.artifacts.items()},
            {name: artifact.uri for name, artifact in bindings.output_artifacts.items()},
        )

    def _values(self) -> dict[str, str]:
        return self._context.task_values(self._task, self._path)

    def _identity(self) -> str:
        """The task's name in pipelines over time."""
        return f"{self._context.pipeline.name}/{self._path}"

    def _clear_outputs(self) -> None:
        """Give each attempt an empty folder for its outputs."""
        shutil.rmtree(self._outputs, ignore_errors=True)
        self._outputs.mkdir(parents=True)

    def _succeed(self, outputs: Values, *, state: str, **changes: Any) -> Outcome:
        now = time.time()
        self._update(
            state=state,
            started=self._record().started or now,
            finished=self._record().finished or now,
            outputs=_records(outputs.artifacts),
            output_parameters=dict(outputs.parameters),
            **changes,
        )
        return Outcome("SUCCEEDED", outputs)

    def _fail(self, message: str) -> Outcome:
        self._update(state="FAILED", finished=self._record().finished or time.time(), reason=message)
        return Outcome("FAILED", message=f"task {self._path}: {message}")

    def _record(self) -> TaskRecord:
        return self._context.journal.task(self._path)

    def _update(self, **changes: Any) -> None:
        self._context.journal.update(self._path, **changes)


def _records(artifacts: Any) -> dict[str, list[ArtifactRecord]]:
    return {name: [artifact.record() for artifact in items] for name, items in artifacts.items()}
