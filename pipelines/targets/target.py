"""What a target supplies to the one pipeline."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.stage import Launch


def _anywhere(task: Any, pool: str) -> None:
    pass


def _as_it_is(component: Any, pool: str) -> Any:
    return component


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place where the pipeline runs.

    Attributes:
        name: names the compiled file.
        root: where data lies, unless a run says otherwise.
        launches: how a stage of each pool starts.
        place: puts a task on the machines of a pool.
        wrap: makes a component the job of a pool, where the target's own jobs run the containers.
        retries: how often a failed task runs again; stages go on from what they had done.
        caches_by_content: whether its cache sees code and content, so that every stage may use it.
    """

    name: str
    root: str
    launches: Mapping[str, Launch]
    place: Callable[[Any, str], None] = _anywhere
    wrap: Callable[[Any, str], Any] = _as_it_is
    retries: int = 0
    caches_by_content: bool = False
