"""The parser of every command line here."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see `{self.prog} --help`)\n")
