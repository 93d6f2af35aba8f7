"""`veo forget`: remove a source and all that was made of it, for good."""

import argparse
import getpass
import sys
import time
from typing import Any

from veo_core.cli.run import cache_folder
from veo_core.cli.ui import report_of
from veo_core.commandline import add_root, add_runs
from veo_core.errors import UsageError
from veo_core.lineage.forget import Forgetting, Removal, Request
from veo_core.lineage.forget_runs import REPORT
from veo_core.runner import runs
from veo_core.runner.cache import CacheStore
from veo_core.storage import Store

_LISTED = 20


def add_parser(subcommands: Any) -> None:
    """Add `forget` to the command line."""
    parser = subcommands.add_parser(
        "forget", help="remove a source and all that was made of it", description=__doc__
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="its id, the start of one, its file's name or sha256, or its page"
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason, kept with the note")
    parser.add_argument("--by", default="", metavar="NAME", help="who asks (default: the user)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be removed, and change nothing"
    )
    add_runs(parser)
    add_root(parser, "store of the runs")
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    store = Store(arguments.root)
    request = Request(
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        why=arguments.why,
        by=arguments.by or getpass.getuser(),
    )
    alive = [run.run_id for run in runs.list_runs(arguments.runs) if run.state == "RUNNING"]
    if alive and not arguments.dry_run:
        raise UsageError(f"run {alive[0]} is running and may use the source: wait for it, or stop it")
    forgetting = Forgetting.of(arguments.source, request, runs=arguments.runs, store=store)
    _show(forgetting.preview(), "would be removed" if arguments.dry_run else "to be removed")
    if arguments.dry_run:
        return 0
    if not arguments.yes:
        _confirm()
    cache = CacheStore(cache_folder(store, arguments.runs))
    reported = [path.parent for path in arguments.runs.glob(f"*/{REPORT}")]
    removal = forgetting.execute(cache.discard)
    for folder in reported:
        report_of(folder, store)
    print(
        f"removed: {len(removal.sources)} sources, {removal.clips} clips, {removal.objects} files of theirs"
    )
    return 0


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "what is forgotten cannot be brought back: confirm with --yes, or look with --dry-run"
        )
    if input("This cannot be undone. Type yes to go on: ").strip() != "yes":
        raise UsageError("nothing was changed")


def _show(removal: Removal, title: str) -> None:
    print(f"{title}:")
    print(f"  sources   {', '.join(removal.sources)}")
    print(f"  known as  {', '.join(removal.names) or 'no name'}")
    print(f"  clips     {removal.clips}")
    stay = f"; {removal.shared} stay because other sources share them" if removal.shared else ""
    print(f"  files     {removal.objects} of footage, clips and pictures{stay}")
    print(f"  rebuilt   {removal.tables} tables and {removal.shards} shards")
    print(f"  marks     {removal.marks} shards of work and judge answers")
    print(f"  runs      {', '.join(removal.runs) or 'none'}")
    if removal.others:
        listed = ", ".join(removal.others[:_LISTED])
        print(f"  stays     {len(removal.others)} look-alike clips of other sources: {listed}")
    for training in removal.trainings:
        models = ", ".join(training.models) or "no model"
        verb = "trained on it" if training.split == "train" else "validated on it"
        print(f"  models    {verb}: {models} (run {training.run}, dataset {training.dataset[:12]})")
    if not removal.trainings:
        print("  models    none was trained on it")
