"""Calling a service that may be ill for a while."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
Pause = Callable[[float], object]

_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 32.0


def patiently(
    call: Callable[[], Result],
    passes: Callable[[Exception], bool],
    *,
    attempts: int = 6,
    pause: Pause = time.sleep,
) -> Result:
    """The result of a call that is repeated, ever later, while it fails with an error that passes.

    Raises:
        Exception: that of the last attempt, or the first that does not pass by itself.
    """
    for attempt in range(attempts - 1):
        try:
            return call()
        except Exception as error:
            if not passes(error):
                raise
        longest = min(_FIRST_SECONDS * 2**attempt, _LONGEST_SECONDS)
        pause(random.uniform(longest / 2, longest))
    return call()
