"""`veo ui` and `veo report`: runs in a browser, from a local server or as one self-contained file."""

import argparse
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from veo_core.commandline import add_root, location
from veo_core.errors import UsageError
from veo_core.explorer.api import Api
from veo_core.explorer.bundle import write_report
from veo_core.explorer.library import Library, RunsFolder
from veo_core.runner.journal import is_alive
from veo_core.runner.runs import LATEST
from veo_core.storage import Store

_PORT = 8765


def add_parsers(subcommands: Any) -> None:
    """Add `ui` and `report` to the command line."""
    ui = subcommands.add_parser(
        "ui", help="look at runs in a browser", description="Serves runs to this machine's browser."
    )
    ui.add_argument(
        "--runs",
        type=location,
        nargs="+",
        default=["runs"],
        metavar="FOLDER",
        help="folders of runs, local, gs:// or s3:// (default: runs)",
    )
    ui.add_argument("--port", type=int, default=_PORT, help=f"0 for any that is free (default: {_PORT})")
    ui.set_defaults(execute=_ui)

    report = subcommands.add_parser(
        "report",
        help="write a run as one self-contained HTML file",
        description="Writes a run as one self-contained HTML file.",
    )
    report.add_argument(
        "run", nargs="?", default=LATEST, help="a run's id, the start of one, or 'latest' (default)"
    )
    report.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the run's folder")
    report.add_argument(
        "--runs",
        type=location,
        default="runs",
        metavar="FOLDER",
        help="local, gs:// or s3:// (default: runs)",
    )
    report.set_defaults(execute=_report)

    for parser in (ui, report):
        add_root(parser, "store of the runs")


def report_of(folder: Path, store: Store) -> Path:
    """Write the report of a run into its folder, and return its path."""
    library = _library([str(folder.parent)], store)
    return write_report(library.open(library.resolve(folder.name)))


def _library(folders: Sequence[str], store: Store) -> Library:
    return Library([RunsFolder(uri) for uri in folders], store, is_alive)


def _report(arguments: argparse.Namespace) -> int:
    library = _library([arguments.runs], Store(arguments.root, written=False))
    print(write_report(library.open(library.resolve(arguments.run)), arguments.out))
    return 0


def _ui(arguments: argparse.Namespace) -> int:
    try:
        import uvicorn

        from veo_core.explorer.server import application
    except ModuleNotFoundError as error:
        raise UsageError(
            f"veo ui needs {error.name}, which is not installed: pip install 'veo-from-scratch[serve]'"
        ) from None
    api = Api(_library(arguments.runs, Store(arguments.root, written=False)))
    config = uvicorn.Config(
        application(api), loop="asyncio", http="h11", ws="none", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with _listening(arguments.port) as listener:
        api.warm_up()
        print(f"runs at http://127.0.0.1:{listener.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
        server.run(sockets=[listener])
    return 0


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on port {port}: {error}; choose another with --port") from None
