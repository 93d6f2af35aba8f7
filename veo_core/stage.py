"""What every stage of the pipeline shares: its context and its command line.

A stage is a module with one typed function,

    def run(*, <name>: Manifest, ..., config: SomeConfig, context: Context) -> Manifest | Result

and `stage_main(run)` under `if __name__ == "__main__"`. The command line follows from the signature:
`--<name> PATH --<name>-digest SHA256` for each input manifest, `--config` for the configuration. What
platforms are to show of it besides its figures, its `VIEWS`, is drawn from the manifest.
"""

import argparse
import importlib
import inspect
import json
import os
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.fingerprint import module_fingerprint
from veo_core.publish import Result, Views, add_output_flags, check_views, publish, write
from veo_core.records.base import Record, canonical_json, read_yaml, sha256_bytes
from veo_core.records.manifest import Manifest
from veo_core.sharding import ExecutorName, ShardJob, ShardRows, run_jobs, shards_of, share_of
from veo_core.storage import Store

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=Record)


@dataclass(frozen=True)
class Context:
    """What a stage may use besides its inputs and configuration.

    Attributes:
        stage: the stage's short name, such as "dedup".
        store: where data lives.
        seed: the seed of everything random in the stage.
        key: digest of the stage's code, configuration, seed and inputs; names its marks.
        workers: how many processes the stage may use.
        executor: "pool" for processes of this machine, "ray" for Ray.
        part: the part of the work to do, None for all of it.
    """

    stage: str
    store: Store
    seed: int
    key: str
    workers: int
    executor: ExecutorName = "pool"
    part: "Part | None" = None

    def map_shards(
        self,
        items: Sequence[T],
        work: Callable[[Sequence[T]], list[ResultT]],
        *,
        identity: Callable[[T], str],
        result: type[ResultT],
        shard_size: int = 32,
    ) -> ShardRows[ResultT]:
        """Apply `work` to shards of `items`; finished shards survive a kill.

        Items go to shards by the hash of their identity, so that shards do not depend on the order of
        the input. `work` and its results must be picklable.

        Raises:
            PartFinished: the stage runs a part only, and this part's shards are done.
        """
        shards = list(shards_of(items, identity, shard_size))
        marks = [f"{self.stage}/{self.key}/{_shard_digest(shard, identity)}" for shard in shards]
        jobs = [
            ShardJob(self.store, mark, shard, work, result)
            for index, (mark, shard) in enumerate(zip(marks, shards, strict=True))
            if self.part is None or self.part.has(index)
        ]
        pending = [job for job in jobs if self.store.get_mark(job.mark) is None]
        run_jobs(pending, executor=self.executor, workers=self.workers, label=self.stage)
        if self.part is not None:
            raise PartFinished(len(jobs), "shards")
        return ShardRows(self.store, marks, result)


@dataclass(frozen=True)
class Part:
    """One of `count` equal parts of a stage's work, from 0 on."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read "3/16".

        Raises:
            UsageError: it is something else, or the index is not below the count.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise UsageError(
                f"--part {text}: give it as INDEX/COUNT with an index below the count, as in 3/16"
            )
        return cls(int(index), int(count))

    def has(self, number: int) -> bool:
        """Whether the `number`th shard of the work belongs to this part."""
        return number % self.count == self.index

    def has_item(self, identity: str) -> bool:
        """Whether an item belongs to this part, by its hash."""
        return share_of(identity, self.count) == self.index


class PartFinished(Exception):  # noqa: N818 (no error: it ends a stage whose part of the work is done)
    """What a stage raises when it was asked for one part of its work and that part is done.

    Its marks are in the store; the stage's whole run finds them and publishes.
    """

    def __init__(self, done: int, unit: str) -> None:
        super().__init__(f"{done} {unit} of this part are done")


def _shard_digest(shard: Sequence[T], identity: Callable[[T], str]) -> str:
    return sha256_bytes("\n".join(identity(item) for item in shard).encode())


def default_workers() -> int:
    """`VEO_WORKERS`, or the number of CPUs that this process may use."""
    return int(os.environ.get("VEO_WORKERS") or len(os.sched_getaffinity(0)))


def default_executor() -> ExecutorName:
    """`VEO_EXECUTOR`, or the pool of processes."""
    name = os.environ.get("VEO_EXECUTOR") or "pool"
    if name not in typing.get_args(ExecutorName):
        raise UsageError(f"VEO_EXECUTOR={name}: must be one of {', '.join(typing.get_args(ExecutorName))}")
    return typing.cast(ExecutorName, name)


def stage_main(
    run: Callable[..., Manifest | Result], argv: Sequence[str] | None = None, *, views: Views | None = None
) -> NoReturn:
    """Run a stage from the command line and exit: 0 done, 2 bad usage or input, 1 unexpected."""
    try:
        _run_stage(run, argv, views or {})
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def _run_stage(run: Callable[..., Manifest | Result], argv: Sequence[str] | None, views: Views) -> None:
    run = _importable(run)
    interface = interface_of(run)
    parser = stage_parser(interface)
    arguments = parser.parse_args(argv)
    part = Part.parse(arguments.part) if arguments.part else None
    if part is None and not arguments.manifest:
        parser.error("the following arguments are required: --manifest")
    check_views(views, arguments)
    config = _parse_config(interface.config, arguments.config)
    manifests: dict[str, Manifest | None] = {}
    for name in interface.inputs:
        path, digest = getattr(arguments, name), getattr(arguments, f"{name}_digest")
        manifests[name] = read_manifest(path, digest) if path else None
    identity = {
        "stage": interface.stage,
        "code": module_fingerprint(interface.module),
        "config": config.digest,
        "seed": arguments.seed,
        "inputs": {name: manifest.digest if manifest else None for name, manifest in manifests.items()},
    }
    context = Context(
        stage=interface.stage,
        store=Store(arguments.root),
        seed=arguments.seed,
        key=sha256_bytes(canonical_json(identity))[:32],
        workers=default_workers(),
        executor=arguments.executor or default_executor(),
        part=part,
    )
    if part is not None:
        _run_part(run, manifests, config, context, arguments)
        return
    result = run(**manifests, config=config, context=context)
    if isinstance(result, Manifest):
        result = Result(result)
    if _first():
        inputs = {name: manifest.digest for name, manifest in manifests.items() if manifest}
        publish(result, views, inputs, context.store, arguments)


def _run_part(
    run: Callable[..., Manifest | Result],
    manifests: dict[str, Manifest | None],
    config: Any,
    context: Context,
    arguments: argparse.Namespace,
) -> None:
    """Do a part of a stage's work; a stage that finds nothing to do in parts is done at once."""
    try:
        run(**manifests, config=config, context=context)
    except PartFinished as finished:
        print(f"{context.stage} {arguments.part}: {finished}", file=sys.stderr)
    if arguments.digest and _first():
        write(arguments.digest, f"{context.key} {arguments.part}".encode())


def _first() -> bool:
    """Whether this process is the one that publishes, of those that torchrun started to do this together."""
    return os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True)
class Interface:
    """What a stage's `run` declares: its module, its configuration, and whether each input is optional."""

    module: str
    stage: str
    description: str
    config: type[Record]
    inputs: dict[str, bool]


def interface_of(run: Callable[..., Manifest | Result]) -> Interface:
    """The interface of a stage, read from the signature of its `run`."""
    module = inspect.getmodule(run)
    assert module is not None
    name = module.__spec__.name if module.__spec__ else module.__name__
    hints = typing.get_type_hints(run)
    config = hints.pop("config")
    hints.pop("return", None)
    manifests = {key: hint for key, hint in hints.items() if Manifest in (hint, *typing.get_args(hint))}
    inputs = {key: type(None) in typing.get_args(hint) for key, hint in manifests.items()}
    return Interface(name, name.rsplit(".", 1)[-1], module.__doc__ or "", config, inputs)


def _importable(run: Callable[..., Manifest | Result]) -> Callable[..., Manifest | Result]:
    """`run` of the module by its own name where `python -m` runs it as `__main__`, which no other machine
    can load.
    """
    module = inspect.getmodule(run)
    if module is None or module.__name__ != "__main__" or module.__spec__ is None:
        return run
    found: Callable[..., Manifest | Result] = getattr(
        importlib.import_module(module.__spec__.name), run.__name__
    )
    return found


def stage_parser(interface: Interface) -> Parser:
    """The command line of a stage."""
    epilog = "configuration keys:\n" + "\n".join(
        f"  {name}: {info.description or ''} (default {info.get_default(call_default_factory=True)!r})"
        if not info.is_required()
        else f"  {name}: {info.description or ''} (required)"
        for name, info in interface.config.model_fields.items()
    )
    parser = Parser(
        prog=f"python -m {interface.module}",
        description=interface.description,
        epilog=epilog.replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--root", required=True, metavar="URI", help="store: a folder, gs:// or s3://")
    for name, optional in interface.inputs.items():
        flag = name.replace("_", "-")
        parser.add_argument(f"--{flag}", required=not optional, metavar="PATH", help=f"manifest of {flag}")
        parser.add_argument(f"--{flag}-digest", default="", metavar="SHA256", help="its expected digest")
    parser.add_argument("--config", default="{}", metavar="JSON", help="configuration: JSON text or a file")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    parser.add_argument(
        "--part",
        metavar="I/N",
        default="",
        help="do part I of N, from 0 on, and publish nothing: the whole run after it does",
    )
    parser.add_argument(
        "--executor",
        choices=typing.get_args(ExecutorName),
        help="processes of this machine or Ray (default: VEO_EXECUTOR, else pool)",
    )
    add_output_flags(parser)
    return parser


def _parse_config(config_type: type[Record], text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return config_type.load(text)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--config: not valid JSON: {error}") from None
    return config_type.parse(value, where="--config")


def read_manifest(path: str | Path, digest: str = "") -> Manifest:
    """Read a manifest and check it against its expected digest.

    Raises:
        UsageError: the file is missing, is no manifest, or has another digest.
    """
    manifest = Manifest.parse(read_yaml(path), where=str(path))
    if digest and manifest.digest != digest:
        raise UsageError(f"{path}: its digest is {manifest.digest}, expected {digest}")
    return manifest
