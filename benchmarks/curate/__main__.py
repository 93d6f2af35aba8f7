"""Figures of curation: `SEED=123 QUICK=1 python -m benchmarks.curate [SECTION ...]`; all by default.

Each section replaces its own rows of `benchmarks/results/curate.json`.
"""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.curate import (
    accuracy,
    dedup_scale,
    faults,
    kills,
    memory,
    mutations,
    production,
    side_by_side,
    tiers,
)
from benchmarks.report import Row, publish, quick, seed

DEFAULT_SEED = 9_140_263
SECTIONS: dict[str, Callable[[int, bool, Path], Iterable[Row]]] = {
    "accuracy": accuracy.rows,
    "side_by_side": side_by_side.rows,
    "dedup_scale": lambda seed, quick, _: dedup_scale.rows(seed, quick),
    "production": production.rows,
    "mutations": mutations.rows,
    "memory": memory.rows,
    "kills": kills.rows,
    "faults": faults.rows,
    "tiers": tiers.rows,
}


def main() -> None:
    chosen = sys.argv[1:] or list(SECTIONS)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        sys.exit(f"error: no section {unknown[0]!r}; known: {', '.join(SECTIONS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    used = seed(DEFAULT_SEED)
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix=f"veo-bench-{name}-") as folder:
            rows = list(SECTIONS[name](used, quick(), Path(folder)))
        publish("curate", rows, used_seed=used, section=name)


if __name__ == "__main__":
    main()
