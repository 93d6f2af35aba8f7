"""Where the commands of tasks run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from veo_core.runner.execution import Job, python_first, task_environment
from veo_core.runner.identity import installed_code


@dataclass(frozen=True)
class Work:
    """What a task runs: a command with its placeholders resolved.

    Attributes:
        env: variables for the command, the run's and its own.
        accelerator: whether it asks for one.
        log: file to which its output goes.
        cwd: folder in which it starts.
        timeout: seconds that it may take, or None.
    """

    argv: list[str]
    env: Mapping[str, str]
    accelerator: bool
    log: str
    cwd: str
    timeout: float | None = None


class Executor(Protocol):
    """A way to run commands of tasks, which find the run's folder and the store at the same paths as here."""

    @property
    def images(self) -> Mapping[str, str]:
        """The image of each pool with its identity, for the run's record; empty where there are none."""

    def code(self, work: Work) -> dict[str, str]:
        """The identity of the code that `work` runs, by name.

        Raises:
            NoIdentityError: it cannot be told.
        """

    def job(self, work: Work) -> Job:
        """The command that carries out `work`."""


class InstalledEnvironment:
    """Runs commands as processes of this environment, this interpreter in the place of an image's."""

    images: Mapping[str, str] = {}

    def code(self, work: Work) -> dict[str, str]:
        return installed_code(work.argv)

    def job(self, work: Work) -> Job:
        return Job(
            argv=python_first(work.argv),
            env=task_environment(work.env),
            cwd=work.cwd,
            log=work.log,
            timeout=work.timeout,
        )
