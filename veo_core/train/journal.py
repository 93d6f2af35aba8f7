"""What a training run tells while it runs: curves and samples for TensorBoard, and its speed."""

import time
from collections.abc import Mapping

from veo_core.stage import Context
from veo_core.train.events import EventLog, Samples
from veo_core.train.runtime import Runtime
from veo_core.train.throughput import Throughput


class Journal:
    """Two event logs and the throughput of a run, below `marks/STAGE/KEY/tensorboard` of the store.

    `learning` holds what the configuration, the seed and the data decide, and no time of day: it becomes part
    of the manifest, whose bytes are equal for equal runs. `speed` holds what the machine decides.

    Args:
        learned: bytes of the learning log that count; None for a run that starts anew.
    """

    def __init__(self, context: Context, runtime: Runtime, learned: int | None) -> None:
        self._store, self._writes = context.store, runtime.first
        self._prefix = f"{context.stage}/{context.key}/tensorboard"
        fresh = learned is None
        self._learning = EventLog(self._store, f"{self._prefix}/learning/events.tfevents", learned or 0)
        self._speed = EventLog(self._store, f"{self._prefix}/speed/events.tfevents", 0 if fresh else None)

    @property
    def learned(self) -> int:
        """Bytes of the learning log."""
        return self._learning.size

    def row(self, row: Mapping[str, float], speed: Throughput) -> None:
        """Add a row of the history, and the speed since the last one."""
        step = int(row["step"])
        self._learning.scalars(step, {k: v for k, v in row.items() if k != "step"}, time=float(step))
        figures = {name: value for name, value in speed.model_dump().items() if value is not None}
        self._speed.scalars(step, figures, time=time.time())

    def samples(self, step: int, samples: Samples) -> None:
        self._learning.samples(step, samples, time=float(step))

    def flush(self) -> None:
        """Let readers see it."""
        if self._writes:
            self._learning.flush()
            self._speed.flush()

    def close(self, speed: Throughput) -> None:
        """Put the whole run's speed on record, as `throughput.json` beside the logs."""
        self.flush()
        if self._writes:
            self._store.set_mark(f"{self._prefix}/throughput.json", speed.to_bytes())


def learning_log(context: Context) -> bytes:
    """The event file of a run that has ended."""
    data = context.store.get_mark(f"{context.stage}/{context.key}/tensorboard/learning/events.tfevents")
    assert data is not None
    return data


def throughput_of(context: Context) -> Throughput:
    """The speed of a run that has ended, its first interval of logging left out."""
    data = context.store.get_mark(f"{context.stage}/{context.key}/tensorboard/throughput.json")
    assert data is not None
    return Throughput.model_validate_json(data)
