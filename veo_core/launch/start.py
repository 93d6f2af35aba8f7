"""Run a stage with one process a device, on one machine or on all machines of a job.

    python -m veo_core.launch.start MODULE ARGUMENTS

The machines are those that the platform tells of in the environment (see `veo_core.launch.cluster`). A
process that is lost makes all start anew from the last complete checkpoint. SIGTERM goes to every process; a
training saves its state and ends with code 143, which asks for a retry.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.exit_codes import USAGE
from veo_core.launch.call import StageCall
from veo_core.launch.cluster import Cluster, started_by_torchrun
from veo_core.launch.exchange import Exchange
from veo_core.launch.stage_parser import add_stage, launcher_parser
from veo_core.storage import Store


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage and return its exit code; one process on one machine takes this process's place."""
    arguments = _parser().parse_args(argv)
    module, line = arguments.module, arguments.arguments
    try:
        if started_by_torchrun(os.environ):
            _become(_command(module, line))
        cluster = Cluster.of(os.environ)
        processes = arguments.processes or cluster.processes or _devices()
        if arguments.exchange:
            call = StageCall.parse(module, line)
            return _run_exchanged(call, arguments.exchange, cluster, processes, arguments.restarts)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    if cluster.machines == processes == 1:
        _become(_command(module, line))
    return _run(cluster, processes, _command(module, line), arguments.restarts)


def _run_exchanged(asked: StageCall, key: str, cluster: Cluster, processes: int, restarts: int) -> int:
    """Run the stage with its files in a folder, to which they come and from which they return."""
    exchange = Exchange(Store(asked.root), key)
    with tempfile.TemporaryDirectory(prefix="veo-exchange-") as folder:
        call = asked.moved(Path(folder))
        exchange.receive_inputs(call)
        code = _run(cluster, processes, _command(call.module, call.arguments), restarts)
        if code == 0:
            exchange.send_outputs(call)
        return code


def _run(cluster: Cluster, processes: int, command: Sequence[str], restarts: int) -> int:
    from veo_core.launch.agent import run_processes  # torch takes seconds to import

    environment = cluster.tpu_environment(os.environ)
    return run_processes(cluster, processes, command, restarts=restarts, environment=environment)


def _command(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _become(command: list[str]) -> NoReturn:
    os.execv(command[0], command)  # noqa: S606 (no shell is meant)


def _devices() -> int:
    from veo_core.train.runtime import processes_here

    return processes_here()


def _parser() -> Parser:
    parser = launcher_parser("start", __doc__)
    parser.add_argument(
        "--processes",
        type=_positive,
        default=os.environ.get("VEO_PROCESSES") or None,
        metavar="N",
        help="processes of this machine (default: VEO_PROCESSES, else the platform's, else one a device)",
    )
    parser.add_argument(
        "--restarts",
        type=_count,
        default=os.environ.get("VEO_RESTARTS") or 3,
        metavar="N",
        help="how often all processes start anew after one is lost (default: VEO_RESTARTS, else 3)",
    )
    parser.add_argument(
        "--exchange",
        metavar="KEY",
        help="the stage's files come from the store and return to it, under this key of `trainjob`",
    )
    add_stage(parser)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
