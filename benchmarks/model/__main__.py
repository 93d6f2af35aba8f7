"""Figures of the model: `RUN=latest SEED=123 QUICK=1 python -m benchmarks.model [SECTION ...]`.

RUN names a finished run, by its id, "latest" or its folder; without it one of PRESET is made. All sections by
default but `speed`, which is the part of `tutorial` that tells how fast both are; each replaces its own rows
of `benchmarks/results/model.json`.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.model import autoencoder, compiling, conditioning, following, speed, tutorial
from benchmarks.model.trained import TrainedRun, obtain
from benchmarks.report import Row, publish, quick, seed
from veo_core.errors import UsageError

DEFAULT_SEED = 6_120_733
SECTIONS: dict[str, Callable[[TrainedRun, int, bool, Path], Iterable[Row]]] = {
    "following": following.rows,
    "conditioning": conditioning.rows,
    "tutorial": tutorial.rows,
    "speed": speed.rows,
    "autoencoder": autoencoder.rows,
    "compile": compiling.rows,
}
_PART_OF_ANOTHER = "speed"


def main() -> None:
    chosen = sys.argv[1:] or [name for name in SECTIONS if name != _PART_OF_ANOTHER]
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        sys.exit(f"error: no section {unknown[0]!r}; known: {', '.join(SECTIONS)}")
    used = seed(DEFAULT_SEED)
    with tempfile.TemporaryDirectory(prefix="veo-bench-model-") as name:
        folder = Path(name)
        try:
            run = obtain(folder, seed=used, quick=quick())
            for section in chosen:
                (folder / section).mkdir()
                rows = list(SECTIONS[section](run, used, quick(), folder / section))
                publish("model", rows, used_seed=used, section=section)
        except UsageError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
