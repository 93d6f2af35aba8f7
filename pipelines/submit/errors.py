"""How a submission ends that could not go on."""

import sys
from collections.abc import Callable

from veo_core.errors import UsageError


class RemoteError(Exception):
    """A service failed, through no fault of the input; its message says in one line which and how."""


def run(command: Callable[[], int]) -> int:
    """A command's exit code: 0 done, 1 failed, 2 bad usage or something missing, 130 interrupted."""
    try:
        return command()
    except UsageError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except RemoteError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def one_line(text: object) -> str:
    return " ".join(str(text).split())
