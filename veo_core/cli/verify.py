"""`veo verify`: whether all that a run refers to is there and as it was; exit code 1 where it is not."""

import argparse
import json
from typing import Any

from veo_core.cli.diff import read_run
from veo_core.commandline import add_root, add_runs
from veo_core.lineage.verify import verify
from veo_core.lineage.verify_text import verification_text
from veo_core.runner import runs


def add_parser(subcommands: Any) -> None:
    """Add `verify` to the command line."""
    parser = subcommands.add_parser(
        "verify", help="check that a run's files are as they were", description=__doc__
    )
    parser.add_argument(
        "run", nargs="?", default=runs.LATEST, help="a run's id, the start of one, or 'latest'"
    )
    add_runs(parser)
    add_root(parser, "store of the run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    found = verify(read_run(arguments.runs, arguments.run, arguments.root))
    if arguments.json:
        print(json.dumps(found.model_dump(mode="json"), indent=1, ensure_ascii=False))
    else:
        print(verification_text(found), end="")
    return 0 if found.intact else 1
