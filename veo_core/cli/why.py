"""`veo why`: the whole story of a model, an artifact, a source or a clip."""

import argparse
import json
from typing import Any

from veo_core.commandline import add_root, add_runs
from veo_core.lineage.ask import Answer, answer
from veo_core.lineage.why import Story
from veo_core.lineage.why_artifact import ArtifactStory
from veo_core.lineage.why_artifact_text import artifact_text
from veo_core.lineage.why_model_text import model_text
from veo_core.lineage.why_text import story_text
from veo_core.runner import runs
from veo_core.runner.journal import is_alive
from veo_core.storage import Store


def add_parser(subcommands: Any) -> None:
    """Add `why` to the command line."""
    parser = subcommands.add_parser(
        "why", help="say where a model, a file, a source or a clip comes from, and why", description=__doc__
    )
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a registered model (NAME, NAME@VERSION, NAME@default); the sha256 of a manifest, a table, a "
        "shard, weights or a clip's file, or the start of one; a source's or a clip's id, or the start of "
        "one; a source's file name or page",
    )
    parser.add_argument(
        "--run",
        help="look in this run alone: its id, the start of one, or 'latest' (default: all, the latest first)",
    )
    add_runs(parser)
    add_root(parser, "store of the run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    told = answer(
        arguments.what,
        runs=arguments.runs,
        store=Store(arguments.root, written=False),
        run=runs.run_folder(arguments.runs, arguments.run) if arguments.run else None,
        is_alive=is_alive,
    )
    print(
        json.dumps(told.model_dump(mode="json"), indent=1) + "\n" if arguments.json else _text(told), end=""
    )
    return 0


def _text(told: Answer) -> str:
    if isinstance(told, Story):
        return story_text(told)
    return artifact_text(told) if isinstance(told, ArtifactStory) else model_text(told)
