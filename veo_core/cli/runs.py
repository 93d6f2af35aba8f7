"""`veo runs` and `veo logs`: what was run here or was imported, and what it said."""

import argparse
import time
from typing import Any

from veo_core.cli import import_run
from veo_core.commandline import add_runs
from veo_core.runner import runs


def add_parsers(subcommands: Any) -> None:
    """Add `runs` and `logs` to the command line."""
    listing = subcommands.add_parser("runs", help="list the runs, newest first")
    listing.set_defaults(execute=_list)
    import_run.add_parser(listing.add_subparsers(metavar="COMMAND"))

    logs = subcommands.add_parser("logs", help="print a task's log")
    logs.add_argument("run", help="a run's id, the start of one, or 'latest'")
    logs.add_argument("task", help="a task's name, such as train-base")
    logs.add_argument("--lines", type=int, help="only the last lines")
    logs.set_defaults(execute=_log)

    for parser in (listing, logs):
        add_runs(parser)


def _list(arguments: argparse.Namespace) -> int:
    print(f"{'run':24}{'state':13}{'started':21}{'seconds':>8}{'tasks':>7}{'cached':>8}{'failed':>8}")
    for record in reversed(runs.list_runs(arguments.runs)):
        states = [task.state for task in record.tasks]
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        seconds = f"{record.finished - record.created:.0f}" if record.finished else ""
        print(
            f"{record.run_id:24}{record.state.lower():13}{started:21}{seconds:>8}"
            f"{len(states):>7}{states.count('CACHED'):>8}{states.count('FAILED'):>8}"
        )
    return 0


def _log(arguments: argparse.Namespace) -> int:
    print(runs.read_log(arguments.runs, arguments.run, arguments.task, lines=arguments.lines), end="")
    return 0
