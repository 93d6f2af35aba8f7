"""The small training run as a module that `veo_core.launch.start` runs, with a fault in one of its processes:

    python -m faulty_run ROOT CONFIG HISTORY [--rank RANK --at STEP WHAT]

WHAT is `kill` or `terminate`, which send the signals, `fail` or `misuse`, which raise errors, or `wait`,
which makes a file beside HISTORY, with the ending `.waits`, and waits for a signal. It happens only when the
processes start for the first time. The first one writes the history to HISTORY when the run has ended.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1] / "train"))

from small_run import SmallRun

from veo_core.errors import UsageError
from veo_core.storage import Store
from veo_core.train.loop import FitConfig

FAULTS: dict[str, str | BaseException] = {
    "fail": RuntimeError("the disk is on fire"),
    "misuse": UsageError("clip-7: it has no sound"),
}


class FaultyRun(SmallRun):
    def __init__(self, config: FitConfig, waits: Path) -> None:
        super().__init__(config)
        self.model = self.runtime.place(self.model)
        self.waits = waits

    def losses(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if self.at.get(self.calls + 1) == "wait":
            came, comes = os.pipe()
            os.set_blocking(comes, False)
            signal.set_wakeup_fd(comes)
            self.waits.touch()
            os.read(came, 1)
        return super().losses(generator)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("config")
    parser.add_argument("history", type=Path)
    parser.add_argument("--rank", default="0")
    parser.add_argument("--at", nargs=2)
    arguments = parser.parse_args()
    config = FitConfig.model_validate(json.loads(arguments.config))
    run = FaultyRun(config, arguments.history.with_suffix(".waits"))
    first_start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if arguments.at and first_start and os.environ.get("RANK", "0") == arguments.rank:
        step, what = arguments.at
        run.at[int(step)] = FAULTS.get(what, what)
    try:
        history = run.fit(Store(arguments.root))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if run.runtime.first:
        arguments.history.write_text(json.dumps({"calls": run.calls, "history": history}))


if __name__ == "__main__":
    main()
