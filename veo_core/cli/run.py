"""`veo run` and `veo curate`: a compiled pipeline, from footage to a registered model or to a dataset."""

import argparse
import contextlib
import importlib.resources
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from veo_core.cli.footage import footage_section
from veo_core.cli.recipe import CURATION, STAGES, add_recipe_arguments, load_recipe, parameters
from veo_core.cli.ui import report_of
from veo_core.commandline import add_root, add_runs
from veo_core.errors import UsageError
from veo_core.records.run import RunRecord
from veo_core.runner import docker, engine, ir, progress, service
from veo_core.runner.executor import Executor, InstalledEnvironment
from veo_core.runner.runs import exit_code
from veo_core.runner.spec import Pipeline
from veo_core.storage import Store

_USAGE_EXIT = 2
_POOL_IMAGES = {docker.CPU: "curate", docker.ACCELERATOR: "train-gpu"}


def add_parsers(subcommands: Any) -> None:
    """Add `run` and `curate` to the command line."""
    run = subcommands.add_parser(
        "run", help="run the pipeline", description="From footage to a registered model."
    )
    run.set_defaults(execute=partial(execute, ir_name="embedded", stages=tuple(STAGES)))
    curate = subcommands.add_parser(
        "curate", help="run the curation only", description="From footage to a packaged dataset."
    )
    curate.set_defaults(execute=partial(execute, ir_name="embedded-curation", stages=CURATION))
    for parser in (run, curate):
        _add_arguments(parser)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe_arguments(parser)
    parser.add_argument(
        "--footage", metavar="PLACE", help="use this folder or bucket prefix instead of filming the world"
    )
    parser.add_argument("--judge", choices=["world", "external"], help="who describes and judges clips")
    parser.add_argument("--judge-port", type=int, default=0, metavar="PORT", help="port of the world's judge")
    add_root(parser, "store for data")
    add_runs(parser)
    parser.add_argument("--workers", type=int, metavar="N", help="tasks at a time (default: one a CPU)")
    parser.add_argument(
        "--executor",
        choices=["process", "docker"],
        default="process",
        help="run tasks as processes, or in containers of the images (default: process)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FILE",
        help="images.lock.json with the images of --executor docker (default: what `make images` built)",
    )
    parser.add_argument("--no-cache", action="store_true", help="run every task anew")


def execute(arguments: argparse.Namespace, ir_name: str, stages: Sequence[str]) -> int:
    """Run a compiled pipeline, write the report, and say what came out."""
    started = time.monotonic()
    settings = list(arguments.settings)
    if arguments.seed is not None:
        settings.append(f"seed={arguments.seed}")
    if arguments.judge is not None:
        settings.append(f"judge_server={arguments.judge}")
    footage = {"collect": footage_section(arguments.footage)} if arguments.footage else {}
    recipe = load_recipe(arguments.preset, arguments.config, settings, footage)
    store = Store(arguments.root)
    _make_folder(arguments.runs)
    pipeline = ir.load(str(importlib.resources.files("pipelines") / "compiled" / f"{ir_name}.yaml"))
    given = parameters(recipe, store.root, stages)
    executor = _executor(arguments, pipeline, store, given)

    with contextlib.ExitStack() as stack:
        env = stack.enter_context(_judge(recipe.judge_server, arguments.judge_port, arguments.runs))
        observer = stack.enter_context(progress.shown(arguments.runs))
        options = engine.Options(
            executor=executor,
            env={**env, "VEO_EXECUTOR": recipe.executor},
            workers=arguments.workers,
            cache=cache_folder(store, arguments.runs),
            reuse=not arguments.no_cache,
            launch={
                "judge": recipe.judge_server,
                "executor": arguments.executor,
                "item_executor": recipe.executor,
            },
            observe=observer,
        )
        record = engine.run(pipeline, given, runs_dir=arguments.runs, options=options)
    report = report_of(arguments.runs / record.run_id, store)
    return _conclude(record, report, arguments.runs, time.monotonic() - started)


def _executor(
    arguments: argparse.Namespace, pipeline: Pipeline, store: Store, given: Mapping[str, Any]
) -> Executor:
    if arguments.executor == "process":
        return InstalledEnvironment()
    folders = [arguments.runs.resolve(), Path(store.root).absolute()]
    return docker.connect(
        pipeline,
        _image_references(arguments.images),
        folders=[folder for folder in folders if folder.is_dir()],  # a bucket is none
        inputs=docker.places_named(given, apart_from=folders),
    )


def _image_references(lock: Path | None) -> dict[str, str]:
    """The image of each pool that has one, from a lock file or by the tags that `make images` gives."""
    if lock is None:
        return {pool: f"veo-{name}:latest" for pool, name in _POOL_IMAGES.items()}
    try:
        images = json.loads(lock.read_text(encoding="utf-8"))
        return {pool: str(images[name]) for pool, name in _POOL_IMAGES.items() if name in images}
    except OSError as error:
        raise UsageError(f"--images {lock}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UsageError(f"--images {lock}: it is no images.lock.json as `make push` writes it") from None


@contextlib.contextmanager
def _judge(kind: str, port: int, runs: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which tasks find their judge."""
    if kind == "external":
        yield {}
        return
    command = ["python", "-m", "veo_core.world.main", "serve", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "url"
        serve = [*command, "--ready-file", str(ready)]
        with service.running(serve, ready_file=ready, log=runs / ".judge.log") as url:
            yield {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "world"}


def cache_folder(store: Store, runs: Path) -> Path:
    """Beside the objects that cached manifests refer to, so that both go together."""
    return Path(store.root) / "cache" if Path(store.root).is_dir() else runs / ".cache"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None


def _conclude(record: RunRecord, report: Path, runs: Path, seconds: float) -> int:
    failed = [task for task in record.tasks if task.state == "FAILED"]
    if failed and all(task.exit_code == _USAGE_EXIT for task in failed):
        for task in failed:
            print(f"error: {task.name}: {task.reason}", file=sys.stderr)
        return _USAGE_EXIT
    if failed:
        print(progress.failures(record, runs), file=sys.stderr)
    cached = sum(task.state == "CACHED" for task in record.tasks)
    print(f"run {record.run_id}: {record.state.lower()} in {seconds:.0f} s, {cached} tasks from the cache")
    models = [task.output_parameters["model"] for task in record.tasks if "model" in task.output_parameters]
    gated = any(task.name == "safety-evaluation" for task in record.tasks)
    if models:
        print(f"registered {', '.join(models)}")
    elif gated and record.state == "SUCCEEDED":
        print("no model was registered: the safety gate did not approve it; the report says why")
    for task in record.tasks:
        if task.name == "package" and task.state in ("SUCCEEDED", "CACHED") and not gated:
            print(f"dataset: {runs / record.run_id / task.outputs['manifest'][0].uri}")
    print(f"report: {report}")
    return exit_code(record)
