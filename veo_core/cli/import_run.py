"""`veo runs import`: take a run of Kubeflow Pipelines or Vertex AI Pipelines among the runs here."""

import argparse
import json
from pathlib import Path
from typing import Any

from veo_core.commandline import add_runs
from veo_core.errors import UsageError


def add_parser(subcommands: Any) -> None:
    """Add `import` to the commands of `veo runs`."""
    parser = subcommands.add_parser(
        "import", help="take a run of a platform among these", description=__doc__
    )
    parser.add_argument("--from", dest="platform", choices=("kubeflow", "vertex"), required=True)
    parser.add_argument("--run", metavar="ID", help="the run's id, or the name of the pipeline job")
    parser.add_argument("--endpoint", default="", metavar="URL", help="address of Kubeflow Pipelines")
    parser.add_argument("--project", default="", help="project of Google Cloud")
    parser.add_argument("--region", default="", help="region of Vertex AI, such as us-central1")
    parser.add_argument(
        "--answer",
        type=Path,
        metavar="FILE",
        help="read the run from this JSON file, as the platform's API answers, and not from the platform",
    )
    parser.add_argument(
        "--artifacts",
        default="",
        metavar="URI",
        help="where what is below the pipeline's root is read, such as a folder with a copy (default: there)",
    )
    parser.add_argument(
        "--pipeline-root",
        default="",
        metavar="URI",
        help="the run's root, where the platform does not tell it",
    )
    add_runs(parser)
    parser.set_defaults(execute=_execute)


def _execute(arguments: argparse.Namespace) -> int:
    from veo_core.lineage.importers.platform import write_run

    if bool(arguments.run) == bool(arguments.answer):
        raise UsageError("give --run ID, or --answer FILE with what the platform answered")
    read = _from_kubeflow if arguments.platform == "kubeflow" else _from_vertex
    run, artifacts = read(arguments)
    print(write_run(run, arguments.runs, artifacts))
    return 0


def _from_kubeflow(arguments: argparse.Namespace) -> Any:
    from veo_core.lineage.importers import kubeflow
    from veo_core.lineage.importers.artifacts import ArtifactFolder

    version: dict[str, Any] = {}
    if arguments.answer:
        run = _answer(arguments.answer)
    elif not arguments.endpoint:
        raise UsageError("--from kubeflow: give --endpoint URL, the address of Kubeflow Pipelines")
    else:
        run, version = kubeflow.fetch(arguments.endpoint, arguments.run)
    root = arguments.pipeline_root or (run.get("runtime_config") or {}).get("pipeline_root") or ""
    artifacts = ArtifactFolder(root, arguments.artifacts)
    return kubeflow.read(run, version, arguments.endpoint.rstrip("/"), artifacts if root else None), artifacts


def _from_vertex(arguments: argparse.Namespace) -> Any:
    from veo_core.lineage.importers import vertex  # imports the platform's client, which takes seconds
    from veo_core.lineage.importers.artifacts import ArtifactFolder

    if arguments.answer:
        job = _answer(arguments.answer)
    elif not (arguments.project and arguments.region):
        raise UsageError("--from vertex: give --project and --region of the pipeline job")
    else:
        job = vertex.fetch(arguments.project, arguments.region, arguments.run)
    run = vertex.read(job)
    return run, ArtifactFolder(arguments.pipeline_root or run.root, arguments.artifacts)


def _answer(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: holds no run: it is no JSON object")
    return found
