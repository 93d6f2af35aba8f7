"""What a judge server has answered: counts by kind of request, by outcome and by request body."""

import threading
from collections import Counter, OrderedDict
from typing import Any

_MAX_BODIES = 100_000

GONE = "499"


class Tally:
    """Counts that threads may add to. An outcome is an HTTP status, and a fault's name behind it if one
    was committed: "200", "429 too_many", "200 malformed"; "499" where the client had left.

    `bodies` holds the newest 100,000 request bodies by sha256, so that a test can prove that no request
    was repeated after its answer: its count of "200" is 1.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._bodies: OrderedDict[str, Counter[str]] = OrderedDict()
        self._arrivals: dict[str, int] = {}

    def arrive(self, kind: str, body: str) -> int:
        """Note a request, and say how often the same body came before."""
        with self._lock:
            self._kinds[kind] += 1
            before = self._arrivals.pop(body, 0)
            self._arrivals[body] = before + 1
            while len(self._arrivals) > _MAX_BODIES:
                oldest = next(iter(self._arrivals))
                del self._arrivals[oldest]
                self._bodies.pop(oldest, None)
            return before

    def answer(self, body: str, outcome: str) -> None:
        """Note how a request is answered."""
        with self._lock:
            self._outcomes[outcome] += 1
            self._bodies.setdefault(body, Counter())[outcome] += 1

    def lose(self, body: str, outcome: str) -> None:
        """Note that an answer did not reach its client after all."""
        with self._lock:
            for counts in (self._outcomes, self._bodies.get(body, Counter())):
                counts[outcome] -= 1
                counts[GONE] += 1

    def report(self) -> dict[str, Any]:
        """The counts as JSON."""
        with self._lock:
            return {
                "requests": dict(self._kinds),
                "outcomes": dict(+self._outcomes),
                "bodies": {body: dict(+counts) for body, counts in self._bodies.items()},
            }
