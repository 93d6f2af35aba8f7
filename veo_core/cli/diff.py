"""`veo diff`: what differs between two runs, and the first stage at which they part."""

import argparse
import json
from pathlib import Path
from typing import Any

from veo_core.commandline import add_root, add_runs
from veo_core.lineage.commits import repository
from veo_core.lineage.diff import diff
from veo_core.lineage.diff_text import difference_text
from veo_core.lineage.evidence import Evidence, gather
from veo_core.runner import runs
from veo_core.storage import Store


def add_parser(subcommands: Any) -> None:
    """Add `diff` to the command line."""
    parser = subcommands.add_parser("diff", help="say what differs between two runs", description=__doc__)
    parser.add_argument("first", metavar="A", help="a run's id, the start of one, or 'latest'")
    parser.add_argument("second", metavar="B", help="likewise; changes are told from A to B")
    add_runs(parser)
    add_root(parser, "store of the runs")
    parser.add_argument("--second-root", metavar="URI", help="store of B (default: that of A)")
    parser.add_argument(
        "--list",
        type=int,
        default=20,
        metavar="N",
        help="clips and sources to list of each kind (default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    first = read_run(arguments.runs, arguments.first, arguments.root)
    second = read_run(arguments.runs, arguments.second, arguments.second_root or arguments.root)
    difference = diff(first, second, listed=arguments.list, repository=repository())
    if arguments.json:
        print(json.dumps(difference.model_dump(mode="json"), indent=1, ensure_ascii=False))
    else:
        print(difference_text(difference), end="")
    return 0


def read_run(folder: Path, run: str, root: str) -> Evidence:
    """The evidence of a run; one whose runner was killed says so.

    Raises:
        UsageError: there is no such run or store.
    """
    place = runs.run_folder(folder, run)
    evidence = gather(place, Store(root, written=False))
    if evidence.run is not None and evidence.run.state == "RUNNING":
        evidence.run = runs.load_run(folder, place.name)
    return evidence
