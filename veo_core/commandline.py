"""The parser of every command line here, and the options that many share."""

import argparse
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see `{self.prog} --help`)\n")


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add `--runs`, the folder of runs on this machine."""
    parser.add_argument("--runs", type=_folder, default=Path("runs"), metavar="FOLDER", help="default: runs")


def add_root(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--root`, a store; `what` it is for."""
    parser.add_argument("--root", default="store", metavar="URI", help=f"{what} (default: store)")


def location(name: str) -> str:
    """Type of an argument that names a folder or URI; an empty name would mean the working directory."""
    if not name:
        raise argparse.ArgumentTypeError("its name is empty; name a folder, or . for this one")
    return name


def _folder(name: str) -> Path:
    return Path(location(name))
