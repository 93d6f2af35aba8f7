"""The command line that all launchers share: flags of their own, then a stage's module and its arguments."""

import argparse

from veo_core.commandline import Parser


def launcher_parser(name: str, description: str | None) -> Parser:
    """A parser without flags yet.

    Args:
        name: the launcher's module in this package.
        description: its docstring.
    """
    return Parser(
        prog=f"python -m veo_core.launch.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_stage(parser: Parser) -> None:
    """Add `module` and `arguments`, which take all that follows the launcher's own flags."""
    parser.add_argument("module", metavar="MODULE", help="the stage, such as veo_core.train.base")
    parser.add_argument("arguments", metavar="ARGUMENTS", nargs=argparse.REMAINDER, help="its arguments")
