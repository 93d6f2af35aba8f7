"""What Prometheus may ask a server."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "Metrics"]

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)


class Metrics:
    """The server's own counters, apart from those of other code in the process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "veo_requests", "Answers by route and code", ["route", "code"], registry=registry
        )
        self.clips = Counter("veo_clips", "Clips made, by what they were given", ["mode"], registry=registry)
        self.generation = Histogram(
            "veo_generation_seconds", "Time of one batch in the model", buckets=_SECONDS, registry=registry
        )
        self.batch = Histogram(
            "veo_batch_clips", "Clips of one batch", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self.latency = Histogram(
            "veo_request_seconds",
            "Time to an answer, by route",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.verdicts = Counter(
            "veo_filter_verdicts", "What the prompt filter said", ["verdict"], registry=registry
        )
        self.running = Gauge("veo_running_clips", "Clips in the model now", registry=registry)
        self._queue = Gauge("veo_queue_depth", "Clips that wait for the model", registry=registry)

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Ask `depth` for the queue's length whenever Prometheus does."""
        self._queue.set_function(depth)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
