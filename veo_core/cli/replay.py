"""`veo replay`: execute a run again from its record, and say stage by stage whether the outputs are equal.

The code is that of the recorded commit, in a clean checkout; store and runs are new, and nothing is taken
from a cache. Exit code 0 where all that was replayed is equal, 1 where anything differs.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from veo_core.cli.diff import read_run
from veo_core.cli.recipe import merge, parse_setting
from veo_core.commandline import add_root, add_runs
from veo_core.lineage.diff_text import change_lines, divergence_lines, stage_lines
from veo_core.lineage.terminal import visible
from veo_core.replay.replay import Replay, in_folder
from veo_core.runner import runs


def add_parser(subcommands: Any) -> None:
    """Add `replay` to the command line."""
    parser = subcommands.add_parser("replay", help="execute a run again and compare", description=__doc__)
    parser.add_argument(
        "run", nargs="?", default=runs.LATEST, help="a run's id, the start of one, or 'latest'"
    )
    parser.add_argument("--until", default="", metavar="STAGE", help="the last stage, such as package")
    parser.add_argument(
        "--here", action="store_true", help="run the present code in place of the recorded commit's"
    )
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="another value than the record's, to see where it leads; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep the replayed run and its store there"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="tasks at a time (default: one a CPU)")
    add_runs(parser)
    add_root(parser, "store of the run")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    overlay: dict[str, Any] = {}
    for setting in arguments.settings:
        overlay = merge(overlay, parse_setting(setting))
    replay = Replay.of(
        read_run(arguments.runs, arguments.run, arguments.root),
        until=arguments.until,
        overlay=overlay,
        here=arguments.here,
        workers=arguments.workers,
    )
    for remark in replay.remarks():
        print(visible(f"note: {remark}"), file=sys.stderr)
    difference = in_folder(arguments.out, replay.execute)
    if arguments.json:
        print(json.dumps(difference.model_dump(mode="json"), indent=1, ensure_ascii=False))
    else:
        lines = [*stage_lines(difference.stages), *divergence_lines(difference), *change_lines(difference)]
        print("\n".join(lines))
    return 0 if difference.equal else 1


def _terminated(*_: object) -> None:
    """End by an exception, so that the temporary folder goes and the replayed run ends first."""
    raise SystemExit(128 + signal.SIGTERM)
