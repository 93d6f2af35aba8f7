"""`veo export`: datasets, models and lineage in forms that other tools read."""

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

from veo_core.commandline import add_root, add_runs
from veo_core.errors import UsageError
from veo_core.lineage.evidence import gather
from veo_core.lineage.exports import FORMATS
from veo_core.records.clip import Split
from veo_core.records.manifest import Manifest
from veo_core.runner import runs
from veo_core.stage import read_manifest
from veo_core.storage import Store


def add_parser(subcommands: Any) -> None:
    """Add `export` to the command line."""
    parser = subcommands.add_parser(
        "export", help="write a dataset, a model or a run's lineage for other tools", description=__doc__
    )
    layouts = parser.add_subparsers(title="layouts", required=True, metavar="LAYOUT")
    folder = layouts.add_parser(
        "folder", help="t2v_pairs/ and i2v_pairs/ with mp4, wav, txt and jpg", description=__doc__
    )
    folder.add_argument("out", type=Path, metavar="OUT", help="a new folder, or one to go on with")
    which = folder.add_mutually_exclusive_group()
    which.add_argument("--run", default=runs.LATEST, help="a run's id, the start of one, or 'latest'")
    which.add_argument("--manifest", type=Path, metavar="FILE", help="or the dataset's manifest")
    folder.add_argument(
        "--split", action="append", choices=get_args(Split), help="only this split; may be repeated"
    )
    add_runs(folder)
    add_root(folder, "store of the data")
    folder.set_defaults(execute=_export_folder)
    model = layouts.add_parser(
        "model",
        help="a folder that diffusers' DiffusionPipeline.from_pretrained loads",
        description="A model in diffusers' layout, weights as safetensors.",
    )
    model.add_argument(
        "reference", metavar="REF", help="NAME, NAME@VERSION, a run's id, or 'latest' for the latest run"
    )
    model.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    add_runs(model)
    add_root(model, "store of the model")
    model.set_defaults(execute=_export_model)
    lineage = layouts.add_parser(
        "lineage",
        help="a run's record as OpenLineage, Croissant, CycloneDX, model card, training-content summary",
        description="What a run's record tells, in the formats of others. What the run lacks is named and "
        "left out; with --only that is exit code 1.",
    )
    lineage.add_argument("run", metavar="RUN", help="a run's id, the start of one, or 'latest'")
    lineage.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    lineage.add_argument("--only", nargs="+", choices=FORMATS, help="only these formats")
    add_runs(lineage)
    add_root(lineage, "store of the data")
    lineage.set_defaults(execute=_export_lineage)


def _export_lineage(arguments: argparse.Namespace) -> int:
    from veo_core.lineage.exports.write import write_exports

    folder = runs.run_folder(arguments.runs, arguments.run)
    evidence = gather(folder, Store(arguments.root, written=False))
    if evidence.run is not None:
        evidence.run = runs.load_run(
            folder.parent, folder.name
        )  # says of a killed run that it was interrupted
    written = write_exports(evidence, arguments.out, arguments.only or FORMATS)
    for path in written.files:
        print(path)
    for name, reason in written.missing.items():
        print(f"{name}: not written: {reason}", file=sys.stderr)
    for note in evidence.notes:
        print(f"not known: {note}", file=sys.stderr)
    return 1 if arguments.only and written.missing else 0


def _export_model(arguments: argparse.Namespace) -> int:
    from veo_core.cli.model_reference import open_model  # imports torch, which other commands do without
    from veo_core.export.folder import export_model

    generator = open_model(arguments.reference, root=arguments.root, runs_dir=arguments.runs)
    export_model(generator, arguments.out)
    print(arguments.out)
    return 0


def _export_folder(arguments: argparse.Namespace) -> int:
    from veo_core.data.export import export_folder  # imports PyAV, which other commands do without

    store = Store(arguments.root)
    if arguments.manifest is not None:
        dataset = read_manifest(arguments.manifest)
    else:
        dataset = _dataset_of(runs.run_folder(arguments.runs, arguments.run), store)
    count = export_folder(dataset, arguments.out, arguments.split or list(get_args(Split)), store)
    print(f"{arguments.out}: {count} clips")
    return 0


def _dataset_of(folder: Path, store: Store) -> Manifest:
    for _, manifest in reversed(list(gather(folder, store).with_table("pairs"))):
        return manifest
    raise UsageError(f"run {folder.name} has packaged no dataset; name another with --run, or --manifest")
