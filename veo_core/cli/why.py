"""`veo why`: the whole story of a clip or a source."""

import argparse
import json
from pathlib import Path
from typing import Any

from veo_core.lineage.why import explain
from veo_core.lineage.why_text import story_text
from veo_core.runner import runs
from veo_core.storage import Store


def add_parser(subcommands: Any) -> None:
    """Add `why` to the command line."""
    parser = subcommands.add_parser(
        "why", help="say why a clip or a source was kept or dropped", description=__doc__
    )
    parser.add_argument(
        "what", metavar="CLIP_OR_SOURCE", help="an id, the start of one, a file's name, or its page"
    )
    parser.add_argument("--run", default=runs.LATEST, help="a run's id, the start of one, or 'latest'")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    parser.add_argument("--root", default="store", metavar="URI", help="store of the run (default: store)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    folder = runs.run_folder(arguments.runs, arguments.run)
    story = explain(arguments.what, run=folder, runs=arguments.runs, store=Store(arguments.root))
    if arguments.json:
        print(json.dumps(story.model_dump(mode="json"), indent=1, ensure_ascii=False))
    else:
        print(story_text(story), end="")
    return 0
