"""The part of a replay that runs on the recorded commit's own engine: `python -P driver.py JOB`.

It is a file of the present code that imports the `veo_core` which comes first on PYTHONPATH, so it uses
nothing of it but what the engine has offered from the start. JOB is a JSON file with the fields of `Job`.
"""

import contextlib
import ctypes
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from veo_core.errors import UsageError
from veo_core.runner import engine, ir, progress, service

_PR_SET_PDEATHSIG = 1


class Job(TypedDict):
    """What to run.

    Attributes:
        pipeline: file with the compiled pipeline.
        parameters: JSON file with its parameters.
        runs: folder in which the run's folder is made.
        code: folder that holds the `veo_core` to run; commands start in it.
        judge: whether the world's judge is started.
        env: further variables for every task.
        workers: tasks at a time, None for one a CPU.
    """

    pipeline: str
    parameters: str
    runs: str
    code: str
    judge: bool
    env: dict[str, str]
    workers: int | None


def main(path: str) -> int:
    """Run the job; the run's record tells the rest. It ends with the process that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    job: Job = json.loads(Path(path).read_text(encoding="utf-8"))
    runs = Path(job["runs"])
    try:
        pipeline = ir.load(job["pipeline"])
        parameters = json.loads(Path(job["parameters"]).read_text(encoding="utf-8"))
        with _judge(job["judge"], runs) as judge, progress.shown(runs) as observe:
            options = engine.Options(
                env={**job["env"], **judge},
                workers=job["workers"],
                reuse=False,
                cwd=Path(job["code"]),
                observe=observe,
            )
            engine.run(pipeline, parameters, runs_dir=runs, options=options)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def _judge(started: bool, runs: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which tasks find the world's judge, where the run had that one."""
    if not started:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "url"
        command = ["python", "-m", "veo_core.world.main", "serve", "--port", "0", "--ready-file", str(ready)]
        with service.running(command, ready_file=ready, log=runs / ".judge.log") as url:
            yield {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "world"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
