"""Following a run that lies with a service: a line for every change, and how it ended."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.submit.errors import one_line
from pipelines.submit.patience import Pause

End = Literal["succeeded", "failed", "cancelled"]
_SECONDS_BETWEEN_LOOKS = 15.0


@dataclass(frozen=True)
class Task:
    """A task as the service shows it: its state in lower case, and why it failed."""

    state: str
    error: str = ""


@dataclass(frozen=True)
class Look:
    """A run at one time.

    Attributes:
        state: in lower case.
        tasks: by name.
        end: how the run ended; none while it goes on.
        error: what the service says of the run as a whole.
    """

    state: str
    tasks: Mapping[str, Task] = field(default_factory=dict)
    end: End | None = None
    error: str = ""

    @property
    def failed(self) -> dict[str, str]:
        """Why each failed task failed."""
        return {name: task.error for name, task in self.tasks.items() if task.state == "failed"}


def named(tasks: Iterable[tuple[str, Task]]) -> dict[str, Task]:
    """Tasks by name; the later ones of a name, such as a loop's, have a number after it."""
    seen = Counter[str]()
    result = {}
    for name, task in tasks:
        seen[name] += 1
        result[name if seen[name] == 1 else f"{name} {seen[name]}"] = task
    return result


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {one_line(text)}", flush=True)


def follow(look: Callable[[], Look], *, pause: Pause = time.sleep) -> Look:
    """Say every change of a run until it ends; the last look."""
    state, tasks = "", dict[str, Task]()
    while True:
        seen = look()
        if seen.state != state:
            state = seen.state
            say(f"run: {state}")
        for name, task in seen.tasks.items():
            if tasks.get(name) != task:
                tasks[name] = task
                say(f"{name}: {task.state}" + (f": {task.error}" if task.error else ""))
        if seen.end is not None:
            return seen
        pause(_SECONDS_BETWEEN_LOOKS)


def exit_code(last: Look) -> int:
    """0 for a run that succeeded, else 1, with a last line that names what failed."""
    if last.end == "succeeded":
        say("the pipeline succeeded")
        return 0
    failed = ", ".join(last.failed)
    why = f": {last.error}" if last.error else ""
    say(f"the pipeline {last.end}" + (f" in {failed}" if failed else "") + why)
    return 1
