"""The procedural world's own judge beside a command or a server, where no other one is at hand."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from veo_core.judges.config import JudgeConfig
from veo_core.world.faults import FaultRates
from veo_core.world.server import JudgeServer


@contextmanager
def world_judge(config: JudgeConfig) -> Iterator[JudgeConfig]:
    """The procedural world's own judge, which answers in a thread of this process."""
    with JudgeServer("127.0.0.1", 0, FaultRates()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield config.model_copy(update={"endpoints": [server.url]})
        finally:
            server.shutdown()
