"""What every stage of the pipeline shares: its context and its command line.

A stage is a module with one typed function,

    def run(*, <name>: Manifest, ..., config: SomeConfig, context: Context) -> Manifest | Result

and `stage_main(run)` under `if __name__ == "__main__"`. The command line follows from the signature:
`--<name> PATH --<name>-digest SHA256` for each input manifest, `--config` for the configuration.
"""

import argparse
import concurrent.futures
import inspect
import json
import multiprocessing
import os
import sys
import threading
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from veo_core.commandline import Parser
from veo_core.errors import UsageError
from veo_core.fingerprint import module_fingerprint
from veo_core.progress import track
from veo_core.records.base import Record, canonical_json, read_yaml, sha256_bytes
from veo_core.records.manifest import Manifest
from veo_core.records.tables import table_from_bytes, table_to_bytes
from veo_core.storage import Store

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=Record)


@dataclass(frozen=True)
class Result:
    """A stage's manifest and its further output parameters by name."""

    manifest: Manifest
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a stage may use besides its inputs and configuration.

    Attributes:
        stage: the stage's short name, such as "dedup".
        store: where data lives.
        seed: the seed of everything random in the stage.
        key: digest of the stage's code, configuration, seed and inputs; names its marks.
        workers: how many processes the stage may use.
    """

    stage: str
    store: Store
    seed: int
    key: str
    workers: int

    def map_shards(
        self,
        items: Sequence[T],
        work: Callable[[Sequence[T]], list[ResultT]],
        *,
        identity: Callable[[T], str],
        result: type[ResultT],
        shard_size: int = 32,
    ) -> list[ResultT]:
        """Apply `work` to shards of `items` in a pool of processes; finished shards survive a kill.

        Items go to shards by the hash of their identity, so that shards do not depend on the order of
        the input. `work` and its results must be picklable; results come in the order of the shards.
        """
        shards = list(_shards(items, identity, shard_size))
        names = [f"{self.stage}/{self.key}/{_shard_digest(shard, identity)}" for shard in shards]
        marks = [self.store.get_mark(name) for name in names]
        parts: list[list[ResultT] | None] = [
            table_from_bytes(mark, result) if mark is not None else None for mark in marks
        ]
        pending = [index for index, part in enumerate(parts) if part is None]

        def finish(index: int, rows: list[ResultT]) -> None:
            self.store.set_mark(names[index], table_to_bytes(rows, result))
            parts[index] = rows

        label = self.stage
        if self.workers <= 1 or len(pending) <= 1:
            for index in track(pending, total=len(pending), label=label, unit="shards"):
                finish(index, work(shards[index]))
        else:
            pool = concurrent.futures.ProcessPoolExecutor(self.workers, initializer=end_with_parent)
            with pool:
                futures = {pool.submit(work, shards[index]): index for index in pending}
                completed = concurrent.futures.as_completed(futures)
                try:
                    for future in track(completed, total=len(pending), label=label, unit="shards"):
                        finish(futures[future], future.result())
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return [row for part in parts for row in part or []]


def _shards(items: Sequence[T], identity: Callable[[T], str], shard_size: int) -> Iterator[list[T]]:
    count = max(1, -(-len(items) // shard_size))
    buckets: list[list[T]] = [[] for _ in range(count)]
    for item in items:
        buckets[int(sha256_bytes(identity(item).encode())[:8], 16) % count].append(item)
    for bucket in buckets:
        if bucket:
            yield sorted(bucket, key=identity)


def _shard_digest(shard: Sequence[T], identity: Callable[[T], str]) -> str:
    return sha256_bytes("\n".join(identity(item) for item in shard).encode())


def end_with_parent() -> None:
    """Make this child process end when its parent does, even if SIGKILL ends that one."""

    def wait_for_parent(parent: multiprocessing.process.BaseProcess) -> None:
        parent.join()
        os._exit(1)

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=wait_for_parent, args=(parent,), daemon=True).start()


def default_workers() -> int:
    """`VEO_WORKERS`, or the number of CPUs that this process may use."""
    return int(os.environ.get("VEO_WORKERS") or len(os.sched_getaffinity(0)))


def stage_main(run: Callable[..., Manifest | Result], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a stage from the command line and exit: 0 done, 2 bad usage or input, 1 unexpected."""
    try:
        _run_stage(run, argv)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def _run_stage(run: Callable[..., Manifest | Result], argv: Sequence[str] | None) -> None:
    interface = interface_of(run)
    arguments = stage_parser(interface).parse_args(argv)
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
    )
    result = run(**manifests, config=config, context=context)
    if isinstance(result, Manifest):
        result = Result(result)
    _publish(result, arguments)


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
    parser.add_argument("--manifest", required=True, metavar="PATH", help="where to write the manifest")
    parser.add_argument("--digest", metavar="PATH", help="where to write the manifest's digest")
    parser.add_argument(
        "--output",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "PATH"),
        help="where to write the output parameter NAME",
    )
    parser.add_argument("--executor-output", metavar="PATH", help="where to write KFP's executor output")
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


def _publish(result: Result, arguments: argparse.Namespace) -> None:
    manifest = result.manifest
    missing = [name for name, _ in arguments.output if name not in result.outputs]
    if missing:
        raise UsageError(f"--output: this stage has no output {missing[0]!r}")
    for name, path in arguments.output:
        _write(path, result.outputs[name].encode())
    if arguments.executor_output:
        metadata: dict[str, Any] = {"stage": manifest.stage, "digest": manifest.digest, "rows": manifest.rows}
        if manifest.counts:
            metadata |= manifest.counts.model_dump()
        metadata |= manifest.metrics
        artifact = {"artifacts": {"manifest": {"artifacts": [{"metadata": metadata}]}}}
        _write(arguments.executor_output, canonical_json(artifact))
    if arguments.digest:
        _write(arguments.digest, manifest.digest.encode())
    _write(arguments.manifest, manifest.to_bytes())


def _write(path: str, data: bytes) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(data)
    part.replace(target)
