"""Keeping to the number of requests that a server allows in a time."""

import time
from collections import deque
from collections.abc import Callable


class Pacer:
    """Lets at most `limit` requests pass in any `seconds`.

    Args:
        limit: requests.
        seconds: length of the window.
        clock: seconds on a clock that never goes back.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._passed: deque[float] = deque()

    def wait(self) -> None:
        """Return when another request may be sent, which counts from then on."""
        while len(self._passed) >= self._limit:
            left = self._passed[0] + self._seconds - self._clock()
            if left > 0:
                self._sleep(left)
            else:
                self._passed.popleft()
        self._passed.append(self._clock())
