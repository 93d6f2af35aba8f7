"""`veo world`: film the world, judge a file, serve the judge."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from veo_core.commandline import Parser
from veo_core.errors import ItemError, UsageError
from veo_core.world.faults import FaultRates


def add_parser(subcommands: Any) -> None:
    """Add `world` with its commands to a command line."""
    parser = subcommands.add_parser("world", help="film the world, serve its judge", description=__doc__)
    _add_commands(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of `world` by itself; 0 done, 1 failed, 2 bad usage or input."""
    parser = Parser(prog="python -m veo_core.world.main", description=__doc__)
    _add_commands(parser)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.execute(arguments))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    make = commands.add_parser("make", help="film clips into a new folder")
    make.add_argument("out", type=Path, metavar="OUT", help="new or empty folder")
    make.add_argument("--clips", type=int, default=200, metavar="N", help="number of files")
    make.add_argument("--seed", type=int, default=0, help="seed of everything random")
    make.add_argument("--flaws", type=float, default=0.0, metavar="RATE", help="share of files with a flaw")
    make.add_argument("--two-objects", type=float, default=0.2, metavar="RATE", help="share of such scenes")
    make.add_argument("--width", type=int, default=128, help="pixels")
    make.add_argument("--height", type=int, default=128, help="pixels")
    make.add_argument("--fps", type=float, default=16.0, help="frames per second")
    make.add_argument("--seconds", type=float, default=2.5, help="length of a file")
    make.add_argument("--audio-rate", type=int, default=48_000, help="samples per second")
    make.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="processes"
    )
    make.set_defaults(execute=_make)

    judge = commands.add_parser("judge", help="say what the detectors see and hear in a file, as JSON")
    judge.add_argument("file", type=Path, metavar="FILE", help="MP4, MOV, Matroska or WebM")
    judge.set_defaults(execute=_judge)

    serve = commands.add_parser("serve", help="serve the judge as an OpenAI-compatible server")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    serve.add_argument("--port", type=int, default=8000, help="0 for any free one (default: 8000)")
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="gets the base URL once it listens")
    serve.add_argument(
        "--faults",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help=f"what goes wrong, such as too_many=0.1 error=0.05; names: {', '.join(FaultRates.model_fields)}",
    )
    serve.set_defaults(execute=_serve)


def _make(arguments: argparse.Namespace) -> int:
    from veo_core.world.studio import make
    from veo_core.world.truth import WorldSpec

    names = ("clips", "seed", "flaws", "two_objects", "width", "height", "fps", "seconds", "audio_rate")
    spec = WorldSpec.parse({name: getattr(arguments, name) for name in names}, where="veo world make")
    truths = make(arguments.out, spec, workers=arguments.workers)
    flawed = sum(truth.flaw is not None for truth in truths)
    print(f"{len(truths)} files in {arguments.out / 'footage'}, {flawed} of them with a flaw")
    return 0


def _judge(arguments: argparse.Namespace) -> int:
    from veo_core.media.decode import decode
    from veo_core.world.judge import judge

    try:
        decoded = decode(arguments.file)
    except OSError as error:
        raise UsageError(f"{arguments.file}: cannot be read: {error.strerror}") from None
    except ItemError as error:
        raise UsageError(f"{arguments.file}: {error.rule}: {error}") from None
    print(judge(decoded).model_dump_json(indent=2))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from veo_core.world.server import JudgeServer

    faults = FaultRates.parse(dict(map(_setting, arguments.faults)), where="--faults")
    # Requests are answered side by side; OpenCV's own threads would only get in their way.
    cv2.setNumThreads(1)
    with JudgeServer(arguments.host, arguments.port, faults) as server:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if arguments.ready_file is not None:
            _write_atomically(arguments.ready_file, f"{server.url}\n")
        print(f"listening on {server.url}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
    return 0


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--faults {text}: write NAME=VALUE, such as error=0.1")
    return name, value


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
