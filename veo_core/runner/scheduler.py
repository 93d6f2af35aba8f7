"""Scheduling: tasks start when what they depend on has ended, in parallel, through nested DAGs and loops."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from veo_core.records.run import TaskRecord
from veo_core.runner import conditions
from veo_core.runner.conditions import ConditionError
from veo_core.runner.context import Outcome, RunContext, Values
from veo_core.runner.inputs import InputError, bound_parameters, component_inputs, loop_items
from veo_core.runner.spec import Component, Dag, Iterator, Task, TaskOutput
from veo_core.runner.task import TaskRun


class Scheduler:
    """Runs the DAGs of one run.

    As in Kubeflow, a task that fails or is skipped skips what depends on it and nothing else, a group is
    failed when one of its tasks is, and a group of skipped tasks has succeeded.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    async def run_dag(
        self, component: Component, dag: Dag, scope: Values, path: str, upstream: tuple[str, ...] = ()
    ) -> Outcome:
        """Run a DAG to its end.

        Args:
            path: prefix of the names of its tasks, "" for the root.
            upstream: what the group as a whole depends on, for the record.
        """
        for task in dag.tasks.values():
            if not self._is_group(task):
                self._record(task, path, upstream)
        running: dict[str, asyncio.Task[Outcome]] = {}
        async with asyncio.TaskGroup() as group:
            for task in dag.tasks.values():
                before = {name: running[name] for name in task.depends_on}
                running[task.name] = group.create_task(self._run_task(task, scope, before, path, upstream))
        outcomes = {name: future.result() for name, future in running.items()}
        failed = [outcome.message for outcome in outcomes.values() if outcome.state == "FAILED"]
        outputs = _dag_outputs(dag, outcomes)
        return Outcome("FAILED" if failed else "SUCCEEDED", outputs, next(iter(failed), ""))

    async def _run_task(
        self,
        task: Task,
        scope: Values,
        before: Mapping[str, "asyncio.Task[Outcome]"],
        parent: str,
        upstream: tuple[str, ...],
    ) -> Outcome:
        path = _join(parent, task.name)
        if before:
            await asyncio.wait(before.values())
        outcomes = {name: future.result() for name, future in before.items()}
        missing = [name for name, outcome in outcomes.items() if outcome.state != "SUCCEEDED"]
        if missing and not task.after_failure:
            name = missing[0]
            how = "failed" if outcomes[name].state == "FAILED" else "was skipped"
            return self._end(task, parent, upstream, "SKIPPED", f"{_join(parent, name)} {how}")
        component = self._context.pipeline.component(task)
        values = self._context.task_values(task, path)
        try:
            bound = bound_parameters(task, scope, outcomes, values)
            if task.condition and not conditions.parse(task.condition).holds(bound):
                return self._end(task, parent, upstream, "SKIPPED", f"condition is false: {task.condition}")
            inputs = component_inputs(task, component, bound, scope, outcomes)
            if task.iterator:
                items = loop_items(task.iterator, component, bound, values)
        except (InputError, ConditionError) as error:
            return self._end(task, parent, upstream, "FAILED", str(error))
        below = self._dependencies(task, parent, upstream)
        if task.iterator:
            return await self._run_loop(task, task.iterator, component, inputs, items, path, below)
        return await self._run_component(task, component, inputs, path, below)

    async def _run_component(
        self, task: Task, component: Component, inputs: Values, path: str, upstream: tuple[str, ...]
    ) -> Outcome:
        if isinstance(component.implementation, Dag):
            return await self.run_dag(component, component.implementation, inputs, path, upstream)
        return await TaskRun(self._context, task, component, path, inputs).run()

    async def _run_loop(
        self,
        task: Task,
        iterator: Iterator,
        component: Component,
        inputs: Values,
        items: list[object],
        path: str,
        upstream: tuple[str, ...],
    ) -> Outcome:
        """One run of the body per item; each output is the list of the iterations' outputs, in order."""
        slots = asyncio.Semaphore(iterator.parallelism) if iterator.parallelism else contextlib.nullcontext()

        async def iterate(index: int, item: object) -> Outcome:
            async with slots:
                parameters = {**inputs.parameters, iterator.item_input: item}
                here = _join(path, str(index))
                if not isinstance(component.implementation, Dag):
                    self._add(task, here, upstream)
                return await self._run_component(
                    task, component, Values(parameters, inputs.artifacts), here, upstream
                )

        async with asyncio.TaskGroup() as group:
            running = [group.create_task(iterate(index, item)) for index, item in enumerate(items)]
        outcomes = [future.result() for future in running]
        failed = [outcome.message for outcome in outcomes if outcome.state == "FAILED"]
        outputs = Values(
            parameters={
                name: [o.outputs.parameters[name] for o in outcomes if name in o.outputs.parameters]
                for name in component.output_parameters
            },
            artifacts={
                name: tuple(a for o in outcomes for a in o.outputs.artifacts.get(name, ()))
                for name in component.output_artifacts
            },
        )
        return Outcome("FAILED" if failed else "SUCCEEDED", outputs, next(iter(failed), ""))

    def _is_group(self, task: Task) -> bool:
        component = self._context.pipeline.component(task)
        return task.iterator is not None or isinstance(component.implementation, Dag)

    def _dependencies(self, task: Task, parent: str, upstream: tuple[str, ...]) -> tuple[str, ...]:
        """What a task depends on in the record; the first tasks of a group depend on what the group does."""
        return tuple(_join(parent, name) for name in task.depends_on) or upstream

    def _record(self, task: Task, parent: str, upstream: tuple[str, ...]) -> None:
        self._add(task, _join(parent, task.name), self._dependencies(task, parent, upstream))

    def _add(self, task: Task, path: str, depends_on: tuple[str, ...]) -> None:
        component = task.component.removeprefix("comp-")
        record = TaskRecord(name=path, component=component, state="PENDING", depends_on=list(depends_on))
        self._context.journal.add(record)

    def _end(self, task: Task, parent: str, upstream: tuple[str, ...], state: str, reason: str) -> Outcome:
        """End a task before it starts; a group gets its record only here."""
        path = _join(parent, task.name)
        if self._is_group(task):
            self._record(task, parent, upstream)
        self._context.journal.update(path, state=state, finished=time.time(), reason=reason)
        if state == "SKIPPED":
            return Outcome("SKIPPED", message=reason)
        return Outcome("FAILED", message=f"task {path}: {reason}")


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _dag_outputs(dag: Dag, outcomes: Mapping[str, Outcome]) -> Values:
    parameters = {}
    for name, sources in dag.parameter_outputs.items():
        for source in _produced(sources, outcomes):
            if source.key in outcomes[source.task].outputs.parameters:
                parameters[name] = outcomes[source.task].outputs.parameters[source.key]
                break
    artifacts = {}
    for name, sources in dag.artifact_outputs.items():
        for source in _produced(sources, outcomes):
            if source.key in outcomes[source.task].outputs.artifacts:
                artifacts[name] = outcomes[source.task].outputs.artifacts[source.key]
                break
    return Values(parameters, artifacts)


def _produced(sources: tuple[TaskOutput, ...], outcomes: Mapping[str, Outcome]) -> list[TaskOutput]:
    return [source for source in sources if outcomes[source.task].state == "SUCCEEDED"]
